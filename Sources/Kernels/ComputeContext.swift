import Foundation

/// What the environment or a caller asked for and this machine cannot do.
public struct ComputeContextError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The environment variable or parameter.
    public let variable: String
    /// The values it may have.
    public let expected: String
    /// The value it has.
    public let actual: String

    /// A refusal.
    public init(variable: String, expected: String, actual: String) {
        self.variable = variable
        self.expected = expected
        self.actual = actual
    }

    /// For example `ZOO_ISA is 'avx9'; expected one of scalar, avx2`.
    public var description: String { "\(variable) is '\(actual)'; expected \(expected)" }
}

/// How products with quantised weights take their rows.
///
/// The results differ; those of one of them do not depend on how many rows there are.
public enum Activations: String, Sendable, Hashable, Codable, CaseIterable {
    /// In bytes, each 32 inputs of a row with a scale: an approximation within 1/254 of the largest of the 32.
    case int8
    /// As they are: what the dequantised weight in F32 gives.
    case float32
}

/// Where and how kernels run: threads and instruction set.
///
/// The number of threads never changes a result's bits.
public struct ComputeContext: Sendable {
    /// Threads that ``parallel(_:_:)`` spreads work over.
    public private(set) var threads: Int
    /// The most bytes that one call may hold at once beyond its inputs; `nil` for no limit.
    ///
    /// Operators plan within it, or refuse. Never changes a result.
    public private(set) var maxBytes: Int?
    /// What calls on this machine have shown about choices that change time alone; `nil`: rules decide.
    public var tuning: Tuning?
    /// How products with quantised weights take their rows.
    public var activations = Activations.int8
    /// The microkernels in use.
    package let kernels: KernelTable
    /// The instruction set of the kernels, for example `avx512`.
    public var isa: String { kernels.name }

    /// The most threads a context may ask for.
    public static let maximumThreads = 256

    /// A context; `nil` asks the environment (`ZOO_THREADS`, `ZOO_ISA`), then the machine.
    /// - Parameter maxBytes: the most bytes that one call may hold at once beyond its inputs; `nil` for no limit.
    /// - Throws: ``ComputeContextError`` when this machine cannot do what is asked.
    public init(threads: Int? = nil, isa: String? = nil, maxBytes: Int? = nil) throws(ComputeContextError) {
        self.threads = try Self.resolve(threads: threads)
        self.kernels = try Self.resolve(isa: isa)
        if let maxBytes, maxBytes < 1 {
            throw ComputeContextError(variable: "maxBytes", expected: "a number from 1 up", actual: "\(maxBytes)")
        }
        self.maxBytes = maxBytes
    }

    /// The same context with another limit of bytes, or none.
    public func limited(toBytes maxBytes: Int?) -> ComputeContext {
        var result = self
        result.maxBytes = maxBytes
        return result
    }

    /// The same context with rules alone, for plans that are made again and must come out alike.
    package var untuned: ComputeContext {
        var result = self
        result.tuning = nil
        return result
    }

    /// The same context with fewer threads, at least one.
    package func with(threads: Int) -> ComputeContext {
        var result = self
        result.threads = max(1, min(threads, self.threads))
        return result
    }

    /// The context that the environment asks for, made once, with the tuning that it asks for.
    /// - Throws: ``ComputeContextError`` when this machine cannot do what the environment asks.
    public static func shared() throws(ComputeContextError) -> ComputeContext { try environment.get() }

    private static let environment = Result { () throws(ComputeContextError) in
        var context = try ComputeContext()
        context.tuning = .environment()
        return context
    }

    /// Instruction sets this machine can run, slowest first.
    public static var availableISAs: [String] { KernelTable.available.map(\.name) }

    private static func resolve(threads: Int?) throws(ComputeContextError) -> Int {
        let text = threads.map(String.init) ?? ProcessInfo.processInfo.environment["ZOO_THREADS"]
        guard let text else { return min(CPUFacts.current.cores, maximumThreads) }
        guard let count = Int(text), (1...maximumThreads).contains(count) else {
            throw ComputeContextError(
                variable: threads == nil ? "ZOO_THREADS" : "threads", expected: "a number from 1 to \(maximumThreads)",
                actual: text)
        }
        return count
    }

    private static func resolve(isa: String?) throws(ComputeContextError) -> KernelTable {
        let tables = KernelTable.available
        let name = isa ?? ProcessInfo.processInfo.environment["ZOO_ISA"]
        guard let table = name == nil ? tables.last : tables.first(where: { $0.name == name }) else {
            throw ComputeContextError(
                variable: isa == nil ? "ZOO_ISA" : "isa",
                expected: "one of \(tables.map(\.name).joined(separator: ", "))", actual: name ?? "")
        }
        return table
    }

    /// Runs `body(index, worker)` for every index, and returns when all are done.
    ///
    /// `worker` is below ``threads``.
    public func parallel(_ count: Int, _ body: @Sendable (_ index: Int, _ worker: Int) -> Void) {
        ThreadPool.shared.forEach(count, threads: threads, body)
    }

    /// As ``parallel(_:_:)``, with scratch memory for each worker that outlives the call and is reused.
    package func parallel(
        _ count: Int, scratchFloats: Int,
        _ body: @Sendable (_ index: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void
    ) {
        let workers = max(1, min(threads, count))
        let workspaces = (0..<workers).map { _ in Workspace.take(floats: scratchFloats) }
        defer { workspaces.forEach(Workspace.giveBack) }
        parallel(count) { index, worker in body(index, workspaces[worker].base) }
    }
}
