/// Operators by name: a value that can be extended, passed on and injected.
public struct OperatorRegistry: Sendable {
    struct Registration: Sendable {
        let entry: CatalogueEntry
        let capabilities: AttentionCapabilities
        let options: [OptionDescription]
        /// The operator with its defaults, made once.
        let standard: Result<any AttentionOperator, AttentionError>
        let make: @Sendable ([String: ConfigurationValue]) throws(AttentionError) -> any AttentionOperator
    }

    private(set) var registrations: [Registration] = []
    private var indices: [String: Int] = [:]

    /// A registry without operators.
    public init() {}

    /// Adds an operator type under its entry's id and aliases.
    ///
    /// Nothing is added when it throws.
    /// - Throws: ``AttentionError/duplicateOperator(name:existing:added:)`` when a name is taken;
    ///   ``AttentionError/invalidValue(operand:expected:actual:)`` when a name is not lower-case words joined by `-` or `_`.
    public mutating func register<Operator: AttentionOperator>(
        _ type: Operator.Type, as entry: CatalogueEntry
    ) throws(AttentionError) {
        try checkNames(of: entry)
        add(Registered(type, entry))
    }

    /// Adds an operator that is described at run time: its facts belong to values, not to a type.
    ///
    /// Nothing is added when it throws.
    /// - Parameters:
    ///   - options: what `make` takes; other names never reach it.
    ///   - make: an operator with the given options; called at once with none.
    /// - Throws: as ``register(_:as:)``.
    public mutating func register(
        _ entry: CatalogueEntry, capabilities: AttentionCapabilities, options: [OptionDescription],
        make: @escaping @Sendable ([String: ConfigurationValue]) throws(AttentionError) -> any AttentionOperator
    ) throws(AttentionError) {
        try checkNames(of: entry)
        let standard = Result { () throws(AttentionError) -> any AttentionOperator in try make([:]) }
        let known = options.map(\.name)
        add(
            Registered(
                Registration(entry: entry, capabilities: capabilities, options: options, standard: standard) {
                    (fields) throws(AttentionError) in
                    try Self.checkNames(fields, known: known, owner: entry.id)
                    return try make(fields)
                }))
    }

    private func checkNames(of entry: CatalogueEntry) throws(AttentionError) {
        var own: Set<String> = []
        for name in [entry.id] + entry.aliases {
            guard CatalogueEntry.isName(name) else {
                throw .invalidValue(
                    operand: "the name of \(entry.type)",
                    expected: "lower-case letters and digits in words joined by '-' or '_', a letter first",
                    actual: "'\(name)'")
            }
            guard name != AttentionSpecification.automatic else {
                throw .duplicateOperator(name: name, existing: "the automatic choice", added: entry.type)
            }
            if let index = indices[name] {
                throw .duplicateOperator(name: name, existing: registrations[index].entry.type, added: entry.type)
            }
            guard own.insert(name).inserted else {
                throw .duplicateOperator(name: name, existing: entry.type, added: entry.type)
            }
        }
    }

    /// A checked pair of type and entry, for generated catalogues.
    package struct Registered: Sendable {
        let registration: Registration

        init(_ registration: Registration) { self.registration = registration }

        /// Pairs a type with its entry.
        package init<Operator: AttentionOperator>(_ type: Operator.Type, _ entry: CatalogueEntry) {
            let standard = Result { () throws(AttentionError) -> any AttentionOperator in
                try Operator(Operator.Configuration())
            }
            registration = Registration(
                entry: entry, capabilities: Operator.capabilities, options: Operator.Configuration.options,
                standard: standard
            ) { (fields) throws(AttentionError) in
                try Operator(
                    OperatorRegistry.decode(Operator.Configuration.self, from: fields, owner: entry.id))
            }
        }
    }

    /// A registry of entries whose names `registrygen` has found to be unique.
    package init(catalogue: [Registered]) {
        for item in catalogue { add(item) }
    }

    private mutating func add(_ item: Registered) {
        for name in [item.registration.entry.id] + item.registration.entry.aliases {
            indices[name] = registrations.count
        }
        registrations.append(item.registration)
    }

    /// Every entry, in order of registration.
    public var entries: [CatalogueEntry] { registrations.map(\.entry) }

    /// The entry of an id or alias.
    /// - Throws: ``AttentionError/unknownOperator(name:suggestions:known:)``.
    public func entry(named name: String) throws(AttentionError) -> CatalogueEntry { try registration(name).entry }

    /// What an operator can do.
    /// - Throws: ``AttentionError/unknownOperator(name:suggestions:known:)``.
    public func capabilities(of name: String) throws(AttentionError) -> AttentionCapabilities {
        try registration(name).capabilities
    }

    /// An operator's own options.
    /// - Throws: ``AttentionError/unknownOperator(name:suggestions:known:)``.
    public func options(of name: String) throws(AttentionError) -> [OptionDescription] {
        try registration(name).options
    }

    /// An operator with the given options of its own.
    /// - Throws: ``AttentionError`` for an unknown name, an unknown option or a value that an option cannot take.
    public func make(
        _ name: String, configuration: [String: ConfigurationValue] = [:]
    ) throws(AttentionError) -> ConfiguredOperator {
        let registration = try registration(name)
        let made = configuration.isEmpty ? try registration.standard.get() : try registration.make(configuration)
        return ConfiguredOperator(entry: registration.entry, operator: made, configuration: configuration)
    }

    /// An operator with its defaults.
    public subscript(name: String) -> ConfiguredOperator {
        get throws(AttentionError) { try make(name) }
    }

    private func registration(_ name: String) throws(AttentionError) -> Registration {
        guard let index = indices[name] else { throw unknown(name, known: entries.map(\.id)) }
        return registrations[index]
    }

    /// The error for a name that is no id and no alias.
    /// - Parameter known: the names to list when none is near.
    func unknown(_ name: String, known: [String]) -> AttentionError {
        let names = Set(known).union(indices.keys)
        return .unknownOperator(
            name: name, suggestions: NearestName.suggestions(for: name, among: Array(names)), known: known)
    }
}
