public import AttentionCore

/// Why a plugin is not used: the file, and what is wrong with it.
public struct PluginError: Error, Sendable, Hashable {
    /// What can be wrong with a plugin.
    public enum Problem: Sendable, Hashable {
        /// There is no file.
        case missing
        /// The path leads to a folder.
        case isFolder
        /// The system cannot load the file, and why.
        case notALibrary(reason: String)
        /// The library does not export the entry.
        case missingSymbol(String)
        /// The plugin says that it does not serve the host's version.
        case refusesVersion(host: UInt32)
        /// The plugin's tables are of another version.
        case wrongVersion(plugin: UInt32, host: UInt32)
        /// A structure is smaller than the version asks for.
        case wrongSize(structure: String, actual: Int, expected: Int)
        /// The library describes no operator.
        case noOperators
        /// A pointer in the list of operators is null.
        case nullOperator(number: Int)
        /// Something that every plugin must give is null or empty.
        case missingField(owner: String, field: String)
        /// A field has a value that it cannot take.
        case invalidField(owner: String, field: String, expected: String, actual: String)
        /// The registry refuses an operator.
        case registry(AttentionError)
        /// A registry file cannot be used.
        case invalidRegistryFile(reason: String)
    }

    /// The plugin or registry file.
    public let file: String
    /// What is wrong with it.
    public let problem: Problem

    /// An error about a file.
    public init(file: String, _ problem: Problem) {
        self.file = file
        self.problem = problem
    }
}

extension PluginError: CustomStringConvertible {
    /// One sentence that names the file.
    public var description: String {
        switch problem {
        case .missing: "plugin '\(file)' does not exist"
        case .isFolder: "plugin '\(file)' is a folder; expected a shared library"
        case .notALibrary(let reason): "plugin '\(file)' is not a shared library that can be loaded: \(reason)"
        case .missingSymbol(let name): "plugin '\(file)' does not export '\(name)'"
        case .refusesVersion(let host): "plugin '\(file)' does not serve plugin ABI \(host), the one of this host"
        case .wrongVersion(let plugin, let host):
            "plugin '\(file)' is built for plugin ABI \(plugin); this host serves ABI \(host)"
        case .wrongSize(let structure, let actual, let expected):
            "plugin '\(file)': \(structure) says it has \(actual) bytes; expected at least \(expected)"
        case .noOperators: "plugin '\(file)' has no operators"
        case .nullOperator(let number): "plugin '\(file)': operator \(number) is NULL"
        case .missingField(let owner, let field): "plugin '\(file)': \(owner) has no \(field)"
        case .invalidField(let owner, let field, let expected, let actual):
            "plugin '\(file)': \(field) of \(owner) is \(actual); expected \(expected)"
        case .registry(let error): "plugin '\(file)': \(error.description)"
        case .invalidRegistryFile(let reason): "registry file '\(file)' cannot be used: \(reason)"
        }
    }
}
