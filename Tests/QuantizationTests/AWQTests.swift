import Foundation
import Kernels
import Quantization
import TensorCore
import Testing

@Suite struct AWQTests {
    private static func gated(_ x: Tensor, _ weights: [Tensor]) throws -> Tensor {
        let gate = try Operands.product(x, weights[0])
        let up = try Operands.product(x, weights[1]).floats()
        return try Tensor(zip(gate.floats(), up).map { $0 / (1 + exp(-$0)) * $1 }, shape: gate.shape)
    }

    /// AutoAWQ's scales, clipping and rounded weights on the same operands.
    @Test func scalesAndClippingAreTheReferences() throws {
        let fixtures = try AlgorithmFixtures()
        let context = try ComputeContext(threads: 2)
        let x = try fixtures.floats("awq.inputs")
        let weights = [try fixtures.floats("awq.gate"), try fixtures.floats("awq.up")]
        #expect(fixtures.awq.count == 8)
        for item in fixtures.awq {
            let awq = AWQ(usesWeightMagnitudes: item.usesWeightMagnitudes)
            let found = try awq.searchScales(inputs: x, weights: weights, scheme: item.scheme, context: context) {
                try Self.gated(x, $0)
            }
            let scales = try fixtures.floats("\(item.name).scales").floats()
            #expect(abs(found.error - item.error) <= 1e-3 * item.error, "\(item): \(found.error)")
            #expect(zip(found.scales, scales).allSatisfy { abs($0 - $1) <= 1e-3 * $1 }, "\(item)")
            #expect(found.errors.count == 20 && found.error == found.errors.min())
            #expect(found.error < found.unscaledError)

            let scaled = try AWQ.multiply(scales, intoColumns: weights[1])
            let inputs = try AWQ.multiply(scales.map { 1 / $0 }, intoColumns: x)
            let maxima = try awq.searchClip(weight: scaled, inputs: [inputs], scheme: item.scheme, context: context)
            let expected = try fixtures.floats("\(item.name).maxima").floats()
            // Candidates are a twentieth of the range apart, and two may be alike but for rounding.
            let equal = zip(maxima, expected).count { abs($0 - $1) <= 1e-3 * $1 }
            #expect(equal >= expected.count - 1, "\(item): \(equal) of \(expected.count)")
            let clipped = try AWQ.applyClip(expected, to: scaled, scheme: item.scheme)
            let rounded = try RoundToNearest.quantize(clipped, item.scheme).dequantized()
            #expect(try rounded.maxAbsoluteDifference(fixtures.floats("\(item.name).clipped")) <= 1e-3, "\(item)")
        }
    }

    @Test func scalingIsNeverWorseThanNone() throws {
        let context = try ComputeContext(threads: 2)
        let (x, weight) = (try Operands.activations(80, 64), Operands.weight(12, 64))
        var better = 0
        for scheme in Operands.schemes {
            for duo in [false, true] {
                let found = try AWQ(usesWeightMagnitudes: duo).searchScales(
                    inputs: x, weights: [weight], scheme: scheme, context: context
                ) { try Operands.product(x, $0[0]) }
                let plain = try RoundToNearest.quantize(weight, scheme).dequantized()
                let scaled = try AWQ.multiply(found.scales, intoColumns: weight)
                let rounded = try AWQ.multiply(
                    found.scales.map { 1 / $0 }, intoColumns: RoundToNearest.quantize(scaled, scheme).dequantized())
                let exact = try Operands.product(x, weight).doubles()
                func error(_ weight: Tensor) throws -> Double {
                    let result = try Operands.product(x, weight).doubles()
                    return zip(result, exact).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(exact.count)
                }
                #expect(abs(try error(plain) - found.unscaledError) <= 1e-9 * found.unscaledError, "\(scheme)")
                #expect(abs(try error(rounded) - found.error) <= 1e-3 * found.error, "\(scheme)")
                #expect(found.error <= found.unscaledError, "\(scheme)")
                if found.error < found.unscaledError { better += 1 }
            }
        }
        #expect(better > Operands.schemes.count, "only \(better) of twice as many searches helped")
    }

    /// A layer's own output is the aim of the search by its Hessian, which sees no rows.
    @Test func theHessianLeadsToTheSameScales() throws {
        let context = try ComputeContext(threads: 2)
        for (outputs, schemes) in [(5, Operands.schemes), (150, [QuantizationScheme(groupSize: 16)])] {
            let (x, weight) = (try Operands.activations(80, 64), Operands.weight(outputs, 64))
            var hessian = InputHessian(inputs: 64)
            try hessian.add(x, context: context)
            var statistics = ActivationStatistics(inputs: 64)
            try statistics.add(x)
            for scheme in schemes {
                for duo in [false, true] {
                    let awq = AWQ(usesWeightMagnitudes: duo)
                    let direct = try awq.searchScales(
                        inputs: x, weights: [weight], scheme: scheme, context: context
                    ) { try Operands.product(x, $0[0]) }
                    let found = try awq.searchScales(
                        hessian: hessian, statistics: statistics, weight: weight, scheme: scheme, context: context)
                    #expect(found.errors.count == direct.errors.count)
                    for (one, other) in zip(
                        found.errors + [found.error, found.unscaledError],
                        direct.errors + [direct.error, direct.unscaledError])
                    { #expect(abs(one - other) <= 1e-4 * other, "\(scheme)") }
                    // The best may be another one only where two are alike but for rounding.
                    let place = found.ratio.map { Int(($0 * 20).rounded()) }
                    let error = place.map { direct.errors[$0] } ?? direct.unscaledError
                    #expect(error <= direct.error * (1 + 1e-4), "\(scheme)")
                }
            }
        }
    }

    @Test func noScalingIsACandidate() throws {
        let context = try ComputeContext(threads: 1)
        // Weights that every grid holds: without scales there is no error.
        let weight = try Tensor((0..<64).map { Float($0 % 16) }, shape: [4, 16])
        let x = try Operands.activations(9, 16)
        let scheme = QuantizationScheme(groupSize: 16)
        for duo in [false, true] {
            let found = try AWQ(usesWeightMagnitudes: duo).searchScales(
                inputs: x, weights: [weight], scheme: scheme, context: context
            ) { try Operands.product(x, $0[0]) }
            #expect(found.error == 0 && found.ratio == nil && found.scales.allSatisfy { $0 == 1 })
        }
    }

    @Test func clippingIsNeverWorseThanNone() throws {
        let context = try ComputeContext(threads: 2)
        let weight = Operands.weight(37, 64)
        var values = weight.floats()
        for output in 0..<37 { values[output * 64 + output % 64] *= 4 }
        let outlying = try Tensor(values, shape: [37, 64])
        let x = try Operands.activations(60, 64)
        for scheme in Operands.schemes {
            let size = scheme.groupSize ?? 64
            let maxima = try AWQ().searchClip(weight: outlying, inputs: [x], scheme: scheme, context: context)
            #expect(
                try maxima
                    == AWQ().searchClip(
                        weight: outlying, inputs: [x], scheme: scheme, context: ComputeContext(threads: 1)))
            let clipped = try AWQ.applyClip(maxima, to: outlying, scheme: scheme)
            let (before, after) = (
                try RoundToNearest.quantize(outlying, scheme).dequantized(),
                try RoundToNearest.quantize(clipped, scheme).dequantized()
            )
            var total = (before: 0.0, after: 0.0)
            for group in 0..<64 / size {
                let columns = group * size..<(group + 1) * size
                func errors(_ rounded: Tensor) throws -> [Double] {
                    let inputs = try x.sliced(1, columns)
                    let one = try Operands.product(inputs, rounded.sliced(1, columns)).doubles()
                    let two = try Operands.product(inputs, outlying.sliced(1, columns)).doubles()
                    var sums = [Double](repeating: 0, count: 37)
                    for index in one.indices {
                        sums[index % 37] += (one[index] - two[index]) * (one[index] - two[index])
                    }
                    return sums
                }
                let (plain, better) = (try errors(before), try errors(after))
                #expect(zip(plain, better).allSatisfy { $1 <= $0 * (1 + 1e-4) + 1e-9 }, "\(scheme)")
                total.before += plain.reduce(0, +)
                total.after += better.reduce(0, +)
            }
            if scheme.bits <= 4 && !scheme.isTernary { #expect(total.after < total.before, "\(scheme)") }
        }
    }

    /// How rows are cut into parts changes nothing, neither which of them are looked at.
    @Test func partsOfRowsChangeNothing() throws {
        let context = try ComputeContext(threads: 2)
        let (x, weight) = (try Operands.activations(70, 32), Operands.weight(9, 32))
        let parts = try [0..<3, 3..<3, 3..<45, 45..<46, 46..<70].map { try x.sliced(0, $0) }
        let scheme = QuantizationScheme(bits: 3, groupSize: 16)
        var seen: Set<[Float]> = []
        // Every row, every second, every seventeenth, and the first alone.
        for clipRows in [512, 35, 4, 1] {
            let awq = AWQ(clipRows: clipRows)
            let whole = try awq.searchClip(weight: weight, inputs: [x], scheme: scheme, context: context)
            #expect(try awq.searchClip(weight: weight, inputs: parts, scheme: scheme, context: context) == whole)
            seen.insert(whole)
        }
        #expect(seen.count > 1)
        let found = try AWQ().searchScales(
            inputs: x, weights: [weight], scheme: scheme, context: context
        ) { try Operands.product(x, $0[0]) }
        var statistics = ActivationStatistics(inputs: 32)
        try statistics.add(x)
        let other = try AWQ().searchScales(
            statistics: statistics, weights: [weight], scheme: scheme, context: context
        ) { weights in try parts.map { try Operands.product($0, weights[0]) } }
        #expect(other.scales == found.scales && abs(other.error - found.error) <= 1e-12 * found.error)
    }

    @Test func statisticsAreMeanMagnitudes() throws {
        var statistics = ActivationStatistics(inputs: 2)
        #expect(statistics.meanMagnitudes == [0, 0])
        try statistics.add(Tensor([Float](arrayLiteral: 1, -2, -3, 4), shape: [2, 2]))
        try statistics.add(Tensor([Float](arrayLiteral: 2, 0), shape: [1, 2]))
        #expect(statistics.meanMagnitudes == [2, 2] && statistics.count == 3)
        #expect(throws: QuantizationError.self) { try statistics.add(Tensor(zeros: [1, 3])) }
        #expect(throws: QuantizationError.self) { try statistics.add(Tensor([Float.nan, 0], shape: [1, 2])) }
        #expect(statistics.count == 3)
    }

    @Test func foldingLeavesTheProduct() throws {
        let scales: [Float] = [0.5, 2, 4]
        let weight = Operands.weight(5, 3)
        let scaled = try AWQ.multiply(scales, intoColumns: weight)
        let gain = try Tensor([Float](arrayLiteral: 0.25, -1, 3), shape: [3])
        for offset: Float in [0, 1] {
            let folded = try AWQ.fold(scales, into: gain, offset: offset).floats()
            for input in 0..<3 {
                for output in 0..<5 {
                    let before = weight.floats()[output * 3 + input] * (gain.floats()[input] + offset)
                    let after = scaled.floats()[output * 3 + input] * (folded[input] + offset)
                    #expect(abs(before - after) < 1e-6)
                }
            }
        }
        // The last three outputs of four are read.
        let before = Operands.weight(4, 2, seed: 9)
        let bias = Operands.weight(1, 4, seed: 10)
        let folded = try AWQ.fold(scales, intoRows: before, bias: bias.reshaped([4]), rows: 1..<4)
        let divisors: [Float] = [1, 0.5, 2, 4]
        #expect(folded.weight.floats() == before.floats().enumerated().map { $1 / divisors[$0 / 2] })
        #expect(folded.bias?.floats() == bias.floats().enumerated().map { $1 / divisors[$0] })
        #expect(try AWQ.fold(scales, intoRows: weight.permuted([1, 0])).bias == nil)
    }

    @Test func whatDoesNotFitIsNamed() throws {
        let context = try ComputeContext(threads: 1)
        let (x, weight) = (try Operands.activations(4, 16), Operands.weight(2, 16))
        let scheme = QuantizationScheme(groupSize: 16)
        func field(_ body: () throws -> Void) -> String? {
            do {
                try body()
                return nil
            } catch {
                return (error as? QuantizationError)?.field ?? "\(error)"
            }
        }
        func search(
            _ x: Tensor, _ weights: [Tensor], _ awq: AWQ = AWQ(), output: (Tensor) throws -> Tensor = { $0 }
        ) throws {
            _ = try awq.searchScales(inputs: x, weights: weights, scheme: scheme, context: context) {
                try output($0[0])
            }
        }
        #expect(field { try search(x, [weight]) } == nil)
        #expect(field { try search(x, [weight], AWQ(gridPoints: 0)) } == "gridPoints")
        #expect(field { try search(x, []) } == "weights")
        #expect(field { try search(x, [Operands.weight(2, 32)]) } == "weight")
        #expect(field { try search(Tensor(zeros: [16]), [weight]) } == "activations")
        #expect(field { try search(Tensor(zeros: [0, 16]), [weight]) } == "activations")
        #expect(field { try search(x, [weight]) { _ in Tensor(zeros: [0]) } } == "output")
        #expect(field { try search(x, [weight]) { _ in try Tensor([Float.nan], shape: [1]) } } == "output")
        #expect(field { try search(x, [weight]) { _ in Tensor(zeros: [2], dtype: .float64) } } == "output")
        struct Failure: Error {}
        #expect(throws: Failure.self) { try search(x, [weight]) { _ in throw Failure() } }

        var statistics = ActivationStatistics(inputs: 16)
        func search(_ hessian: InputHessian, _ weight: Tensor) throws {
            _ = try AWQ().searchScales(
                hessian: hessian, statistics: statistics, weight: weight, scheme: scheme, context: context)
        }
        #expect(field { try search(Operands.hessian(16), weight) } == "activations")
        try statistics.add(x)
        #expect(field { try search(Operands.hessian(16), weight) } == nil)
        #expect(field { try search(Operands.hessian(15), weight) } == "hessian")
        #expect(field { try search(InputHessian(inputs: 16), weight) } == "hessian")
        #expect(field { try search(Operands.hessian(16), Operands.weight(2, 32)) } == "weight")
        #expect(field { try search(Operands.hessian(16), Tensor(zeros: [0, 16])) } != nil)

        func clip(_ awq: AWQ, _ inputs: Tensor) throws {
            _ = try awq.searchClip(weight: weight, inputs: [inputs], scheme: scheme, context: context)
        }
        #expect(field { try clip(AWQ(), x) } == nil)
        #expect(field { try clip(AWQ(clipSteps: 0), x) } == "clipSteps")
        #expect(field { try clip(AWQ(largestShrink: 1), x) } == "largestShrink")
        #expect(field { try clip(AWQ(clipRows: 0), x) } == "clipRows")
        #expect(field { try clip(AWQ(), Tensor(zeros: [3, 15])) } == "activations")
        #expect(field { try clip(AWQ(), Tensor(zeros: [0, 16])) } == "activations")
        #expect(field { _ = try AWQ.applyClip([1], to: weight, scheme: scheme) } == "maxima")
        #expect(field { _ = try AWQ.applyClip([1, -1], to: weight, scheme: scheme) } == "maxima")
        #expect(field { _ = try AWQ.multiply([1], intoColumns: weight) } == "weight")
        let sixteen = [Float](repeating: 1, count: 15)
        for bad in [0, -1, Float.nan, .infinity] {
            #expect(field { _ = try AWQ.multiply(sixteen + [bad], intoColumns: weight) } == "scales")
        }
        #expect(field { _ = try AWQ.fold([1, 1], into: Tensor(zeros: [3])) } == "gain")
        #expect(field { _ = try AWQ.fold([1, 0], into: Tensor(zeros: [2])) } == "scales")
        #expect(field { _ = try AWQ.fold([1], intoRows: weight) } == "scales")
        #expect(field { _ = try AWQ.fold([1], intoRows: weight, rows: 2..<3) } == "rows")
        #expect(field { _ = try AWQ.fold([1, 1], intoRows: weight, bias: Tensor(zeros: [3])) } == "bias")
    }
}
