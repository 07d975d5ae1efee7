public import AttentionCore
import CZooPlugin
public import Kernels
import TensorCore

/// An operator of a shared library, behind the same contract as every other.
///
/// Made by ``OperatorRegistry`` after `register(_:)` of a ``PluginLibrary``. Its facts are the library's, so they belong
/// to the value, not to the type.
public struct PluginOperator: AttentionOperator {
    /// The options that were given, checked by name; the library reads their values.
    public struct Configuration: OperatorConfiguration {
        /// The options by name.
        public var fields: [String: ConfigurationValue] = [:]

        /// Every option at its default.
        public init() {}

        /// None: a library's options belong to the value.
        public static var options: [OptionDescription] { [] }
    }

    /// Nothing: a library's facts belong to the value.
    public static let capabilities = AttentionCapabilities(
        dtypes: [], headDims: 1...1, features: [], exactness: .exact, workingMemory: "unknown", arithmetic: "unknown")

    /// What the library declares.
    public var capabilities: AttentionCapabilities { description.capabilities }

    /// What the library says for people.
    public var guide: OperatorGuide { description.guide }

    /// The options in force.
    public let configuration: Configuration
    let description: PluginDescription
    private let state: PluginState

    /// Refuses: an operator without its library cannot be made.
    /// - Throws: ``AttentionCore/AttentionError/missingOperand(operand:expected:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        throw .missingOperand(operand: "the library of a plugin", expected: "an operator made by a registry")
    }

    init(
        _ description: PluginDescription, fields: [String: ConfigurationValue]
    ) throws(AttentionError) {
        self.description = description
        var configuration = Configuration()
        configuration.fields = fields
        self.configuration = configuration
        state = try PluginState(description, configuration: ConfigurationValue.object(fields).jsonText)
    }

    var functions: zoo_operator { description.table.pointee }
    var statePointer: UnsafeRawPointer? { state.pointer.map { UnsafeRawPointer($0) } }

    /// The facts' reasons, then the library's own.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        let facts = capabilities.unsupportedReasons(for: problem)
        guard facts.isEmpty else { return facts }
        let collected = ReasonList()
        if let function = functions.reasons {
            let seen = PluginProblem(problem)
            function(statePointer, seen.pointer, ReasonList.add, Unmanaged.passUnretained(collected).toOpaque())
            withExtendedLifetime((state, seen)) {}
        }
        let mistakes = declaredParameters(for: problem).mistakes.map { UnsupportedReason(.configuration, $0) }
        return withExtendedLifetime(collected) { collected.reasons } + mistakes
    }

    /// What `allows` of the library says; evaluated cell by cell.
    public func pattern(for problem: AttentionProblem) -> AttentionMask {
        guard let function = functions.allows else { return .full }
        let seen = PluginProblem(problem)
        let state = state
        let name = "\(description.name) \(ConfigurationValue.object(configuration.fields).jsonText) on \(problem)"
        return .function(
            MaskFunction(name) { query, key, geometry in
                function(
                    state.pointer.map { UnsafeRawPointer($0) }, seen.pointer, Int64(geometry.batch),
                    Int64(geometry.head), Int64(query), Int64(key)) != 0
            })
    }

    /// What the library declares for the problem.
    public func parameters(for problem: AttentionProblem) -> [OperatorParameter] {
        declaredParameters(for: problem).parameters
    }

    private func declaredParameters(for problem: AttentionProblem) -> PluginParameters {
        let collected = PluginParameters()
        guard let function = functions.parameters else { return collected }
        let seen = PluginProblem(problem)
        function(statePointer, seen.pointer, PluginParameters.add, Unmanaged.passUnretained(collected).toOpaque())
        return withExtendedLifetime((state, seen)) { collected }
    }

    /// Working memory as the library tells it; tiles and tasks are its own affair and count as one.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        let seen = PluginProblem(problem)
        let bytes = functions.workspace_bytes?(statePointer, seen.pointer, Int32(context.threads)) ?? 0
        return withExtendedLifetime((state, seen)) {
            AttentionPlan(
                problem: problem, queryTile: problem.queryLength, keyTile: problem.keyLength, tasks: 1,
                workspaceBytes: Int(max(0, bytes)), isa: "plugin", threads: context.threads)
        }
    }
}

/// What a library's `create` made; `destroy` frees it with the last operator that uses it.
///
/// Unchecked: the header asks libraries to treat states as constant.
final class PluginState: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer?
    private let destroy: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?

    init(_ description: PluginDescription, configuration: String) throws(AttentionError) {
        let table = description.table.pointee
        guard let create = table.create else {
            pointer = nil
            destroy = nil
            return
        }
        let host = PluginHost(try AttentionError.context(nil))
        var made: UnsafeMutableRawPointer?
        let status = host.call { create($0, configuration, &made) }
        guard status == 0 else {
            let reason = host.message.isEmpty ? "status \(status)" : host.message
            throw .invalidOption(
                name: "configuration", expected: "options that \(description.name) takes: \(reason)",
                actual: configuration)
        }
        pointer = made
        destroy = table.destroy
    }

    deinit { destroy?(pointer) }
}

private final class ReasonList {
    private(set) var reasons: [UnsupportedReason] = []

    static let add: zoo_add_reason = { context, explanation, remedy in
        guard let context, let explanation else { return }
        let list = Unmanaged<ReasonList>.fromOpaque(context).takeUnretainedValue()
        list.reasons.append(
            UnsupportedReason(
                .configuration, String(cString: explanation), remedy: remedy.map { String(cString: $0) }))
    }
}
