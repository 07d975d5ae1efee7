import AttentionCore
import AttentionTesting
import TensorCore

/// What to measure.
struct GaugeArguments {
    /// All when absent.
    var operators: [String]?
    var threads = [1, 2]
    /// `standard`, `long`, `8192`; one or several.
    var cases = ["standard", "long"]

    init(_ arguments: [String]) {
        for (name, value) in zip(arguments.dropFirst(), arguments.dropFirst(2)) {
            let values = value.split(separator: ",").map(String.init)
            switch name {
            case "--operators": operators = values
            case "--threads": threads = values.compactMap { Int($0) }
            case "--cases": cases = values
            default: break
            }
        }
    }

    var forwardCases: [AttentionCase] {
        (cases.contains("standard") ? ConformanceCases.standard : []) + (cases.contains("long") ? Self.long : [])
            + (cases.contains("8192") ? [Self.longest] : [])
    }

    var gradientCases: [GradientCase] {
        (cases.contains("standard") ? GradientCases.standard : [])
            + (cases.contains("long") ? Self.long.filter { $0.dtype != .float64 }.map { GradientCase($0) } : [])
    }

    /// Long enough that numbers outweigh objects.
    private static let long: [AttentionCase] = [
        make("long") { _ in }, make("long-causal") { $0.config = ["causal": true] },
        make("long-bf16") { $0.dtype = .bfloat16 },
        make("long-window") { $0.config = ["window": [100, 100]] },
        make("long-grouped-causal") {
            $0.config = ["causal": true]
            $0.kvHeads = 2
        },
        make("long-f64") { $0.dtype = .float64 },
        make("decode") {
            $0.queryLength = 1; $0.keyLength = 8192; $0.kvHeads = 2
        },
        make("wide-bf16-grouped") {
            $0.dtype = .bfloat16
            $0.kvHeads = 2
            $0.headDim = 128
            $0.valueDim = 96
        },
    ]

    /// Length 8192, head dim 64, 8 heads.
    private static let longest = make("8192") {
        $0.queryLength = 8192
        $0.keyLength = 8192
        $0.heads = 8
        $0.kvHeads = 8
    }

    private static func make(_ name: String, _ edit: (inout AttentionCase) -> Void) -> AttentionCase {
        var result = AttentionCase(name, queryLength: 1600, headDim: 64)
        result.heads = 4
        result.kvHeads = 4
        edit(&result)
        return result
    }
}
