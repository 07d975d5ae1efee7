public import AttentionCore

extension OperatorRegistry {
    /// Adds every operator of a library.
    ///
    /// Nothing is added when it throws.
    /// - Throws: ``PluginError`` when a name is taken or cannot be a name.
    public mutating func register(_ library: PluginLibrary) throws(PluginError) {
        var extended = self
        for description in library.operators {
            do throws(AttentionError) {
                try extended.register(
                    description.entry, capabilities: description.capabilities, options: description.options
                ) { (fields) throws(AttentionError) in try PluginOperator(description, fields: fields) }
            } catch {
                throw PluginError(file: library.file, .registry(error))
            }
        }
        self = extended
    }

    /// Loads libraries and adds every operator of each; a library that is named twice is loaded once.
    /// - Throws: ``PluginError``.
    public mutating func loadPlugins(_ paths: [String]) throws(PluginError) {
        var extended = self
        var loaded: Set<String> = []
        for path in paths {
            let library = try PluginLibrary(path: path)
            if loaded.insert(library.file).inserted { try extended.register(library) }
        }
        self = extended
    }
}
