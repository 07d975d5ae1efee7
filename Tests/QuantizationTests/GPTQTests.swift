import Kernels
import Quantization
import TensorCore
import Testing

@Suite struct GPTQTests {
    private static let quantisers = [false, true].flatMap { act in
        [false, true].map { GPTQ(isActOrdered: act, isStaticGroups: $0) }
    }

    /// Without correlations no error reaches another column.
    @Test func anIdentityLeavesRoundToNearest() throws {
        let context = try ComputeContext(threads: 2)
        for (scheme, outputs, inputs) in Operands.cases {
            let weight = Operands.weight(outputs, inputs)
            let hessian = try Operands.identity(inputs)
            let expected = try RoundToNearest.quantize(weight, scheme)
            for quantiser in Self.quantisers {
                let result = try quantiser.quantize(weight, scheme, hessian: hessian, context: context)
                #expect(result.weight.dequantized().bitwiseEquals(expected.dequantized()), "\(scheme) \(quantiser)")
                if !quantiser.isActOrdered { #expect(result.weight == expected) }
                let objective = try hessian.objective(weight, expected.dequantized())
                #expect(abs(result.objective - objective) <= 1e-9 * objective, "\(scheme)")
            }
        }
    }

    @Test func correlationsAreUsed() throws {
        let context = try ComputeContext(threads: 2)
        let hessian = try Operands.hessian(64)
        let weight = Operands.weight(20, 64)
        for scheme in Operands.schemes {
            let baseline = try hessian.objective(weight, RoundToNearest.quantize(weight, scheme).dequantized())
            for quantiser in Self.quantisers {
                let result = try quantiser.quantize(weight, scheme, hessian: hessian, context: context)
                let direct = try hessian.objective(weight, result.weight.dequantized())
                #expect(abs(result.objective - direct) <= 1e-8 * direct, "\(scheme) \(quantiser)")
                #expect(direct <= baseline, "\(scheme) \(quantiser): \(direct), without updates \(baseline)")
                if scheme.bits == 4 { #expect(direct < baseline * 0.7, "\(scheme) \(quantiser)") }
            }
        }
    }

    @Test func blocksChangeNothing() throws {
        let context = try ComputeContext(threads: 2)
        let (weight, hessian) = (Operands.weight(9, 160), try Operands.hessian(160))
        for size in [16, 32, 80, nil] {
            for var quantiser in Self.quantisers {
                let scheme = QuantizationScheme(bits: 3, groupSize: size)
                let usual = try quantiser.quantize(weight, scheme, hessian: hessian, context: context).weight
                for block in [1, 7, 1000] {
                    quantiser.blockSize = block
                    let other = try quantiser.quantize(weight, scheme, hessian: hessian, context: context).weight
                    let difference = try other.dequantized().maxAbsoluteDifference(usual.dequantized())
                    #expect(difference <= 1e-4, "blocks of \(block), groups of \(size ?? 0), \(quantiser)")
                }
            }
        }
    }

    @Test func threadsAndReportsChangeNothing() throws {
        let (weight, inputs) = (Operands.weight(300, 96), try Operands.activations(2500, 96))
        let scheme = QuantizationScheme(bits: 4, groupSize: 32)
        let one = try ComputeContext(threads: 1)
        var first = InputHessian(inputs: 96)
        try first.add(inputs, context: one)
        let expected = try GPTQ(isActOrdered: true).quantize(weight, scheme, hessian: first, context: one)
        for threads in [2, 3] {
            let context = try ComputeContext(threads: threads)
            var hessian = InputHessian(inputs: 96)
            try hessian.add(inputs, context: context)
            #expect(hessian.matrix().bitwiseEquals(first.matrix()))
            var reports: [Double] = []
            let result = try GPTQ(isActOrdered: true).quantize(weight, scheme, hessian: hessian, context: context) {
                reports.append($0)
            }
            #expect(result.weight == expected.weight)
            #expect(result.objective == expected.objective)
            #expect(reports.first == 0 && reports.last == 1 && reports.count > 3 && reports == reports.sorted())
            let fitted = try RoundToNearest.quantize(weight, scheme, fit: .leastError(), context: context)
            #expect(try fitted == RoundToNearest.quantize(weight, scheme, fit: .leastError()))
        }
    }

    @Test func staticGroupsKeepTheGridsOfTheWeight() throws {
        let context = try ComputeContext(threads: 2)
        let (weight, hessian) = (Operands.weight(5, 64), try Operands.hessian(64))
        let scheme = QuantizationScheme(bits: 4, groupSize: 16)
        let plain = try RoundToNearest.quantize(weight, scheme)
        for act in [false, true] {
            let result = try GPTQ(isActOrdered: act, isStaticGroups: true).quantize(
                weight, scheme, hessian: hessian, context: context
            ).weight
            #expect(result.scales == plain.scales && result.zeros == plain.zeros && result.groupIndex == nil)
            #expect(result.codes != plain.codes)
        }
    }

    /// The columns of the largest diagonal come first, so they make up the first group.
    @Test func groupsFollowTheOrder() throws {
        let context = try ComputeContext(threads: 1)
        let (weight, hessian) = (Operands.weight(3, 32), try Operands.hessian(32))
        let result = try GPTQ(isActOrdered: true).quantize(
            weight, QuantizationScheme(groupSize: 8), hessian: hessian, context: context
        ).weight
        let diagonal = hessian.matrix().doubles().enumerated().filter { $0.offset % 33 == 0 }.map(\.element)
        let index = try #require(result.groupIndex)
        for group in 0..<4 { #expect(index.count { $0 == group } == 8) }
        for (one, other) in zip(diagonal.indices, diagonal.indices.dropFirst()) where diagonal[one] > diagonal[other] {
            #expect(index[one] <= index[other])
        }
        for one in 0..<32 {
            for other in 0..<32 where diagonal[one] > diagonal[other] { #expect(index[one] <= index[other]) }
        }
    }

    @Test func deadColumnsBecomeZero() throws {
        let context = try ComputeContext(threads: 2)
        var inputs = try Operands.activations(100, 32).floats()
        for row in 0..<100 { for dead in [3, 16, 17, 18] { inputs[row * 32 + dead] = 0 } }
        var hessian = InputHessian(inputs: 32)
        try hessian.add(Tensor(inputs, shape: [100, 32]), context: context)
        let weight = Operands.weight(6, 32)
        for quantiser in Self.quantisers {
            let result = try quantiser.quantize(
                weight, QuantizationScheme(groupSize: 16), hessian: hessian, context: context)
            let values = result.weight.dequantized().floats()
            for output in 0..<6 { for dead in [3, 16, 17, 18] { #expect(values[output * 32 + dead] == 0) } }
            let direct = try hessian.objective(weight, result.weight.dequantized())
            #expect(abs(result.objective - direct) <= 1e-8 * direct)
        }
    }

    /// What becomes 0 has no say in a grid either.
    @Test func deadColumnsDoNotWidenGrids() throws {
        let context = try ComputeContext(threads: 1)
        var inputs = try Operands.activations(100, 32).floats()
        for row in 0..<100 { inputs[row * 32 + 5] = 0 }
        var hessian = InputHessian(inputs: 32)
        try hessian.add(Tensor(inputs, shape: [100, 32]), context: context)
        var (large, zero) = (Operands.weight(4, 32).floats(), Operands.weight(4, 32).floats())
        for output in 0..<4 { (large[output * 32 + 5], zero[output * 32 + 5]) = (50, 0) }
        for quantiser in Self.quantisers {
            for size in [16, nil] {
                let results = try [large, zero].map {
                    try quantiser.quantize(
                        Tensor($0, shape: [4, 32]), QuantizationScheme(groupSize: size), hessian: hessian,
                        context: context
                    ).weight
                }
                #expect(results[0] == results[1], "\(quantiser)")
            }
        }
    }

    @Test func dampingIsRaisedAndReported() throws {
        let context = try ComputeContext(threads: 2)
        var hessian = InputHessian(inputs: 32)
        try hessian.add(Operands.activations(5, 32), context: context)
        let result = try GPTQ(damping: 0).quantize(
            Operands.weight(4, 32), QuantizationScheme(groupSize: 16), hessian: hessian, context: context)
        #expect(result.damping == 0.001)
        // 1 on the diagonal and 3 beside it: the least eigenvalue is −2.
        let matrix = try Tensor([Float](arrayLiteral: 1, 3, 3, 1), shape: [2, 2])
        let indefinite = try InputHessian(matrix: matrix, count: 1)
        let scheme = QuantizationScheme(groupSize: nil)
        let raised = try GPTQ(damping: 0.05).quantize(
            Operands.weight(4, 2), scheme, hessian: indefinite, context: context)
        #expect(raised.damping == 5)
        let error = #expect(throws: QuantizationError.self) {
            try GPTQ(damping: 1e-5).quantize(Operands.weight(4, 2), scheme, hessian: indefinite, context: context)
        }
        #expect(error?.field == "hessian")
    }

    @Test func settingsThatDoNotFitAreNamed() throws {
        let context = try ComputeContext(threads: 1)
        let (weight, hessian) = (Operands.weight(2, 32), try Operands.identity(32))
        let scheme = QuantizationScheme(groupSize: 16)
        func field(_ quantiser: GPTQ, _ hessian: InputHessian, _ scheme: QuantizationScheme) -> String? {
            do throws(QuantizationError) {
                _ = try quantiser.quantize(weight, scheme, hessian: hessian, context: context)
                return nil
            } catch {
                return error.field
            }
        }
        #expect(field(GPTQ(), hessian, scheme) == nil)
        #expect(field(GPTQ(damping: -1), hessian, scheme) == "damping")
        #expect(field(GPTQ(damping: .nan), hessian, scheme) == "damping")
        #expect(field(GPTQ(blockSize: 0), hessian, scheme) == "blockSize")
        #expect(field(GPTQ(), InputHessian(inputs: 32), scheme) == "hessian")
        #expect(field(GPTQ(), try Operands.identity(31), scheme) == "hessian")
        #expect(field(GPTQ(), hessian, QuantizationScheme(groupSize: 24)) == "groupSize")
        #expect(field(GPTQ(fit: .leastError()), hessian, .ternary(groupSize: 16)) == "fit")
    }
}
