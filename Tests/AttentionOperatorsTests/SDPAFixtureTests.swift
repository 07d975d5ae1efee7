import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// Every operator on every instruction set against PyTorch's numbers.
@Suite struct SDPAFixtureTests {
    /// Operators that compute softmax attention over the problem's mask, when they have their defaults.
    static let ids = OperatorRegistry.builtIn.entries.map(\.id).filter { id in
        let problem = AttentionProblem(queryLength: 128, heads: 1, headDim: 8)
        return (try? OperatorRegistry.builtIn[id].isPlain(for: problem)) ?? false
    }

    @Test func casesAreMany() throws { #expect(try SDPAFixtures().cases.count >= 60) }

    @Test(arguments: ids, ComputeContext.availableISAs)
    func operatorsAgreeWithPyTorch(id: String, isa: String) throws {
        let fixtures = try SDPAFixtures()
        let configured = try OperatorRegistry.builtIn[id]
        let context = try ComputeContext(isa: isa)
        var accepted = 0
        for (attentionCase, expectation) in fixtures.cases {
            let inputs = attentionCase.inputs()
            let options = try attentionCase.options()
            guard configured.unsupportedReasons(for: try AttentionProblem(inputs, options: options)).isEmpty else {
                continue
            }
            accepted += 1
            let result = try configured.forward(inputs, options: options, context: context)
            let expected = try fixtures.expected(attentionCase, rows: expectation.rows, of: result)
            // Half a unit in the last place of the storage; the largest output is the amplitude of the values.
            let storage = attentionCase.dtype == .bfloat16 ? 0x1p-8 : attentionCase.dtype == .float16 ? 0x1p-11 : 0
            let magnitude = Double(attentionCase.amplitude)
            let limit = max(2e-6 * magnitude, 2 * expectation.torchFloatError) + storage * magnitude
            let name = "\(id) on \(isa), \(attentionCase.name)"
            #expect(expected.outputError <= limit, "\(name): output off by \(expected.outputError), allowed \(limit)")
            let largest = expected.logSumExp.doubles().reduce(1) { $1.isFinite ? max($0, abs($1)) : $0 }
            #expect(
                expected.logSumExpError <= 1e-6 * largest, "\(name): logSumExp off by \(expected.logSumExpError)")
        }
        // Everything but F64; an operator that insists on a window takes the cases that have one.
        let takesPlain = configured.unsupportedReasons(for: AttentionProblem(queryLength: 8, heads: 1, headDim: 8))
            .isEmpty
        #expect(accepted >= (takesPlain ? fixtures.cases.filter { $0.0.dtype != .float64 }.count : 12))
    }
}
