import Kernels
import Quantization
import TensorCore
import Testing

/// GPTQ beside AutoGPTQ.
@Suite struct GPTQFixtureTests {
    /// A reference in float32 may round a near tie the other way and go on from there: no case may then be worse.
    @Test func codesAreTheReferences() throws {
        let fixtures = try AlgorithmFixtures()
        let context = try ComputeContext(threads: 2)
        #expect(fixtures.gptq.count >= 80)
        var equal = 0
        for item in fixtures.gptq {
            let weight = try fixtures.floats("\(item.operands).weight")
            var hessian = InputHessian(inputs: weight.shape[1])
            try hessian.add(fixtures.floats("\(item.operands).inputs"), context: context)
            let result = try item.quantiser.quantize(weight, item.scheme, hessian: hessian, context: context)
            #expect(result.damping == 0.01)
            let direct = try hessian.objective(weight, result.weight.dequantized())
            #expect(abs(result.objective - direct) < 1e-9 * direct, "\(item)")
            let codes = try fixtures.integers("\(item.name).codes")
            if result.weight.codes.map(Int.init) == codes {
                equal += 1
                #expect(abs(direct - item.objective) < 1e-5 * item.objective, "\(item)")
            } else {
                #expect(direct < item.objective * (1 + 1e-6), "\(item) has other codes, objective \(direct)")
            }
            let index =
                fixtures.has("\(item.name).groupIndex")
                ? try fixtures.integers("\(item.name).groupIndex") : nil
            #expect(result.weight.groupIndex?.map(Int.init) == index, "\(item)")
        }
        print("\(equal) of \(fixtures.gptq.count) cases have all of AutoGPTQ's codes")
        #expect(equal >= fixtures.gptq.count - 2)
    }

    @Test func gridsAreTheReferences() throws {
        let fixtures = try AlgorithmFixtures()
        let context = try ComputeContext(threads: 2)
        for item in fixtures.gptq {
            let weight = try fixtures.floats("\(item.operands).weight")
            var hessian = InputHessian(inputs: weight.shape[1])
            try hessian.add(fixtures.floats("\(item.operands).inputs"), context: context)
            let result = try item.quantiser.quantize(weight, item.scheme, hessian: hessian, context: context).weight
            guard try result.codes.map(Int.init) == fixtures.integers("\(item.name).codes") else { continue }
            let scales = try fixtures.floats("\(item.name).scales").floats()
            #expect(zip(result.scales, scales).allSatisfy { abs($0 - $1) <= 2e-5 * $1 }, "\(item)")
            let zeros = try fixtures.integers("\(item.name).zeros")
            for output in 0..<result.outputs {
                for group in 0..<result.groups {
                    #expect(result.zero(output, group: group) == zeros[output * result.groups + group], "\(item)")
                }
            }
        }
    }

    /// AutoGPTQ's own blocks of 128 find grids of later groups from weights that errors have not reached.
    @Test func freshGridsAreNoWorse() throws {
        let fixtures = try AlgorithmFixtures()
        let cases = fixtures.gptq.filter { $0.groupSize != nil && !$0.isStaticGroups }
        let (ours, theirs) = cases.reduce((0.0, 0.0)) { ($0.0 + $1.objective, $0.1 + $1.objectiveOfUsualBlock) }
        #expect(ours < theirs)
    }
}
