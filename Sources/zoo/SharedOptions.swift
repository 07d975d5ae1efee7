import ArgumentParser
import Kernels
import TensorCore

/// The choice between text for people and JSON for programs.
struct FormatOptions: ParsableArguments {
    @Flag(help: "Print JSON; errors come as JSON on standard error.")
    var json = false
}

/// Threads and instruction set.
struct MachineOptions: ParsableArguments {
    @Option(help: "Threads; by default ZOO_THREADS or all processors. Never changes a result.")
    var threads: Int?

    @Option(help: "Instruction set of the kernels; by default ZOO_ISA or the best this machine has.")
    var isa: String?

    /// - Parameter explores: whether calls may try tiles that are not measured yet; otherwise only decisions count.
    func context(explores: Bool = true) throws -> ComputeContext {
        var context = try reporting { try ComputeContext(threads: threads, isa: isa) }
        context.tuning = .environment(explores: explores)
        return context
    }
}

/// Several values in one argument: `a,b,c`.
struct List<Element: ExpressibleByArgument & Sendable>: ExpressibleByArgument, Sendable {
    let values: [Element]

    init(_ values: [Element]) { self.values = values }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let values = parts.compactMap { Element(argument: String($0).trimmingSpaces()) }
        guard values.count == parts.count, !values.isEmpty else { return nil }
        self.values = values
    }

    /// What the help shows as the default: as it would be typed.
    var defaultValueDescription: String { values.map(\.defaultValueDescription).joined(separator: ",") }
}

/// Keys to the left and right of a query's place: `255,0`; -1 is unlimited.
struct WindowArgument: ExpressibleByArgument, Sendable {
    let left: Int
    let right: Int

    init?(argument: String) {
        guard let sides = List<Int>(argument: argument)?.values, sides.count == 2, sides.allSatisfy({ $0 >= -1 })
        else { return nil }
        left = sides[0]
        right = sides[1]
    }
}

/// A floating-point element type: `F32`, `f16`, `float32`, ...
struct ElementArgument: ExpressibleByArgument, Sendable {
    let dtype: DType

    static let float32 = ElementArgument(dtype: .float32)

    static let allValueStrings = ["F32", "F16", "BF16", "F64"]

    private init(dtype: DType) { self.dtype = dtype }

    init?(argument: String) {
        switch argument.lowercased() {
        case "f32", "float32", "float": dtype = .float32
        case "f16", "float16", "half": dtype = .float16
        case "bf16", "bfloat16": dtype = .bfloat16
        case "f64", "float64", "double": dtype = .float64
        default: return nil
        }
    }
}

extension String {
    func trimmingSpaces() -> String {
        String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}
