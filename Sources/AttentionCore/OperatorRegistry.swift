public import Kernels

/// An operator's entry in the catalogue: facts for people and for choosing. Behaviour stays in the type.
public struct CatalogueEntry: Sendable, Hashable, Codable {
    /// The name in configurations, kebab-case.
    public let id: String
    /// The Swift type.
    public let type: String
    /// Other names that mean the same.
    public let aliases: [String]
    /// The kind of attention: `exact`, ...
    public let family: String
    /// A heading.
    public let title: String
    /// One sentence: how it works.
    public let summary: String
    /// Where it comes from.
    public let paper: String
    /// How far it can be relied on: `stable` or `experimental`.
    public let status: String
    /// Among operators that can run a problem, `auto` takes the one with the highest priority.
    public let priority: Int

    /// An entry.
    public init(
        id: String, type: String, aliases: [String] = [], family: String, title: String, summary: String,
        paper: String, status: String = "experimental", priority: Int = 0
    ) {
        self.id = id
        self.type = type
        self.aliases = aliases
        self.family = family
        self.title = title
        self.summary = summary
        self.paper = paper
        self.status = status
        self.priority = priority
    }
}

/// Operators by name: a value that can be extended, passed on and injected.
public struct OperatorRegistry: Sendable {
    struct Registration: Sendable {
        let entry: CatalogueEntry
        let capabilities: AttentionCapabilities
        let options: [OptionDescription]
        let make: @Sendable ([String: ConfigurationValue]) throws(AttentionError) -> any AttentionOperator
    }

    private(set) var registrations: [Registration] = []
    private var indices: [String: Int] = [:]

    /// A registry without operators.
    public init() {}

    /// Adds an operator type under its entry's id and aliases.
    /// - Throws: ``AttentionError/duplicateOperator(name:existing:added:)`` when a name is taken; nothing is added then.
    public mutating func register<Operator: AttentionOperator>(
        _ type: Operator.Type, as entry: CatalogueEntry
    ) throws(AttentionError) {
        for name in [entry.id] + entry.aliases {
            if let index = indices[name] {
                throw .duplicateOperator(name: name, existing: registrations[index].entry.type, added: entry.type)
            }
        }
        add(Registered(type, entry))
    }

    /// A checked pair of type and entry, for generated catalogues.
    package struct Registered: Sendable {
        let registration: Registration

        /// Pairs a type with its entry.
        package init<Operator: AttentionOperator>(_ type: Operator.Type, _ entry: CatalogueEntry) {
            registration = Registration(
                entry: entry, capabilities: Operator.capabilities, options: Operator.Configuration.options
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
        return ConfiguredOperator(
            entry: registration.entry, operator: try registration.make(configuration), configuration: configuration)
    }

    /// An operator with its defaults.
    public subscript(name: String) -> ConfiguredOperator {
        get throws(AttentionError) { try make(name) }
    }

    private func registration(_ name: String) throws(AttentionError) -> Registration {
        guard let index = indices[name] else {
            let known = entries.map(\.id)
            let suggestions = NearestName.suggestions(for: name, among: Array(indices.keys))
            throw .unknownOperator(name: name, suggestions: suggestions, known: known)
        }
        return registrations[index]
    }
}

/// An operator with its name and options: what models and commands hold.
public struct ConfiguredOperator: Sendable {
    /// The catalogue's facts.
    public let entry: CatalogueEntry
    /// The operator itself.
    public let `operator`: any AttentionOperator
    /// The options it was made with.
    public let configuration: [String: ConfigurationValue]

    /// Names an operator.
    public init(
        entry: CatalogueEntry, operator: any AttentionOperator, configuration: [String: ConfigurationValue] = [:]
    ) {
        self.entry = entry
        self.operator = `operator`
        self.configuration = configuration
    }

    /// The name in configurations.
    public var id: String { entry.id }

    /// What the operator can do.
    public var capabilities: AttentionCapabilities { type(of: `operator`).capabilities }

    /// Why the operator cannot run a problem; empty when it can.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        `operator`.unsupportedReasons(for: problem)
    }

    /// How the operator will run a problem.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        `operator`.plan(problem, context: context)
    }

    /// Checks, plans and computes.
    /// - Throws: ``AttentionError``: bad operands, or the reasons why this operator cannot run them, under its name.
    public func forward(
        _ inputs: AttentionInputs, options: AttentionOptions = .init(), context: ComputeContext? = nil
    ) throws(AttentionError) -> AttentionOutput {
        do throws(AttentionError) {
            return try `operator`.forward(inputs, options: options, context: context)
        } catch {
            if case .unsupported(_, let problem, let reasons) = error {
                throw .unsupported(name: id, problem: problem, reasons: reasons)
            }
            throw error
        }
    }

    /// The operator's reference.
    /// - Throws: ``AttentionError`` when the operands do not fit each other.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions = .init(), precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        try `operator`.reference(inputs, options: options, precision: precision)
    }
}
