import Foundation
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
                #expect(abs(direct - item.objective) < 1e-4 * item.objective, "\(item)")
            } else {
                // Where grids do not depend on blocks, both blocks of the reference are the same computation.
                let usesBlocks = item.groupSize != nil && !item.isStaticGroups
                let limit = usesBlocks ? item.objective : max(item.objective, item.objectiveOfUsualBlock)
                #expect(direct < limit * (1 + 1e-6), "\(item) has other codes, objective \(direct)")
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
    ///
    /// Either may be better for one weight; over all cases fresh grids are.
    @Test func freshGridsAreBetterOnTheWhole() throws {
        let fixtures = try AlgorithmFixtures()
        let context = try ComputeContext(threads: 2)
        let cases = fixtures.gptq.filter { $0.groupSize != nil && !$0.isStaticGroups }
        let logarithms = try cases.map { item in
            let weight = try fixtures.floats("\(item.operands).weight")
            var hessian = InputHessian(inputs: weight.shape[1])
            try hessian.add(fixtures.floats("\(item.operands).inputs"), context: context)
            let result = try item.quantiser.quantize(weight, item.scheme, hessian: hessian, context: context)
            return log(result.objective / item.objectiveOfUsualBlock)
        }
        #expect(logarithms.reduce(0, +) < 0)
    }
}
