import Kernels
import Quantization
import TensorCore
import Testing

@Suite struct RoundToNearestTests {
    private static func row(_ values: [Float]) throws -> Tensor { try Tensor(values, shape: [1, values.count]) }

    @Test func gridsAreThoseOfTheFormats() throws {
        let asymmetric = QuantizationScheme(bits: 2, groupSize: nil, scaleType: .float32)
        let weight = try RoundToNearest.quantize(Self.row([-1, 0.4, 0.6, 2]), asymmetric)
        #expect(weight.scales == [1] && weight.zeros == [1] && weight.codes == [0, 1, 2, 3])
        // 0 belongs to the range of weights above it.
        let positive = try RoundToNearest.quantize(Self.row([3, 2, 2.6, 1]), asymmetric)
        #expect(positive.scales == [1] && positive.zeros == [0] && positive.codes == [3, 2, 3, 1])
        let negative = try RoundToNearest.quantize(Self.row([-3, -2, -2.6, -1]), asymmetric)
        #expect(negative.scales == [1] && negative.zeros == [3] && negative.codes == [0, 1, 0, 2])
        // Halves go to the even number of steps; the largest weight is half a step beyond the last code.
        let symmetric = try RoundToNearest.quantize(
            Self.row([1.5, -1.5, 0.5, -0.6]),
            QuantizationScheme(bits: 2, groupSize: 2, isSymmetric: true, scaleType: .float32))
        #expect(symmetric.zeros == nil && symmetric.scales == [1, 0.4] && symmetric.codes == [3, 0, 3, 0])
        #expect(symmetric.dequantized().floats() == [1, -2, 0.4, -0.8])
    }

    @Test func ternaryScalesHaveTheLeastSquaredError() throws {
        let weight = try RoundToNearest.quantize(
            Self.row([2, -2.5, 1.5, 0.1, -0.2, 0]), .ternary(groupSize: nil, scaleType: .float32))
        #expect(weight.scales == [2] && weight.zeros == [1] && weight.codes == [2, 0, 2, 1, 1, 1])
        let random = Operands.weight(3, 40)
        let best = try RoundToNearest.quantize(random, .ternary(groupSize: nil, scaleType: .float32))
        let values = random.floats()
        for output in 0..<3 {
            func error(_ scale: Float) -> Double {
                values[output * 40..<output * 40 + 40].reduce(0) { sum, value in
                    let nearest = min(max((value / scale).rounded(), -1), 1) * scale
                    return sum + Double((nearest - value) * (nearest - value))
                }
            }
            let least = error(best.scales[output])
            for step in 1...200 { #expect(least <= error(Float(step) / 200) * (1 + 1e-6)) }
        }
    }

    @Test func zerosHaveScaleOne() throws {
        for scheme in Operands.schemes {
            let weight = try RoundToNearest.quantize(Tensor(zeros: [2, 32]), scheme)
            #expect(weight.scales.allSatisfy { $0 == 1 }, "\(scheme)")
            #expect(weight.dequantized().floats().allSatisfy { $0 == 0 }, "\(scheme)")
            #expect(weight.codes.allSatisfy { Int($0) == (scheme.isTernary ? 1 : 1 << (scheme.bits - 1)) })
        }
    }

    @Test func everyShapeIsWithinHalfAStep() throws {
        for (scheme, outputs, inputs) in Operands.cases {
            let weight = Operands.weight(outputs, inputs)
            let result = try RoundToNearest.quantize(weight, scheme)
            #expect(result.outputs == outputs && result.inputs == inputs && result.scaleType == .float16)
            #expect((result.zeros == nil) == (scheme.isSymmetric && !scheme.isTernary))
            #expect(result.codes.allSatisfy { Int($0) < scheme.levels })
            let (values, originals) = (result.dequantized().floats(), weight.floats())
            for index in originals.indices where !scheme.isTernary {
                let scale = result.scales[index / result.groupSize]
                // Half a step, and what a scale of 11 bits leaves of the range's end; a zero is a whole number of steps.
                let limit = scale * (0.5 + 0.001 * Float(scheme.levels)) + (scheme.isSymmetric ? 0 : scale / 2)
                #expect(abs(values[index] - originals[index]) <= limit, "\(scheme)")
            }
        }
    }

    /// With scales of F32 always.
    ///
    /// A scale that is rounded up may leave the last code out, and the range that comes back is
    /// then smaller by a step: with F16 and BF16 the groups count whose codes reach both ends. A symmetric grid reaches
    /// half a step beyond its last codes, so it has no such property.
    @Test func quantisingAgainGivesTheSameCodes() throws {
        for (scheme, outputs, inputs) in Operands.cases where !scheme.isSymmetric || scheme.isTernary {
            for type in [DType.float16, .bfloat16, .float32] {
                var scheme = scheme
                scheme.scaleType = type
                let once = try RoundToNearest.quantize(Operands.weight(outputs, inputs), scheme)
                let again = try RoundToNearest.quantize(once.dequantized(), scheme)
                let (size, highest) = (once.groupSize, scheme.levels - 1)
                var counted = 0
                for group in once.scales.indices {
                    let codes = once.codes[group * size..<(group + 1) * size]
                    let zero = once.zero(group / once.groups, group: group % once.groups)
                    let isWhole =
                        (codes.contains(UInt8(highest)) || zero == highest) && (codes.contains(0) || zero == 0)
                    guard scheme.isTernary || type == .float32 || isWhole else { continue }
                    counted += 1
                    #expect(again.codes[group * size..<(group + 1) * size] == codes, "\(scheme)")
                    #expect(again.zero(group / once.groups, group: group % once.groups) == zero, "\(scheme)")
                }
                #expect(counted * 2 > once.scales.count || once.scales.count <= 2, "\(scheme): \(counted)")
            }
        }
    }

    @Test func scalesAreNumbersOfTheirType() throws {
        let weight = Operands.weight(4, 32)
        for type in [DType.float16, .bfloat16] {
            let result = try RoundToNearest.quantize(weight, QuantizationScheme(groupSize: 16, scaleType: type))
            let kept = try Tensor(result.scales, shape: [8]).converted(to: type).floats()
            #expect(result.scales == kept)
        }
        // Too small for F16: the smallest number that it has.
        let small = try RoundToNearest.quantize(Self.row([1e-9, -1e-9]), QuantizationScheme(groupSize: nil))
        #expect(small.scales == [0x1p-24])
    }

    @Test func searchedGridsHaveLessError() throws {
        let weight = try Self.row([4] + (0..<63).map { CounterRandom.uniform(seed: 5, index: UInt64($0)) })
        func error(_ fit: GridFit, _ scheme: QuantizationScheme) throws -> Double {
            let rounded = try RoundToNearest.quantize(weight, scheme, fit: fit).dequantized()
            return zip(rounded.doubles(), weight.doubles()).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        }
        for scheme in Operands.schemes where !scheme.isTernary && scheme.bits < 8 {
            let (plain, searched) = (try error(.range, scheme), try error(.leastError(power: 2), scheme))
            #expect(searched <= plain, "\(scheme)")
            if !scheme.isSymmetric { #expect(searched < plain, "\(scheme)") }
            #expect(try error(.leastError(largestShrink: 0), scheme) == plain)
        }
    }

    @Test func whatCannotBeQuantisedIsNamed() throws {
        let weight = Operands.weight(2, 32)
        func field(_ weight: Tensor, _ scheme: QuantizationScheme, _ fit: GridFit = .range) -> QuantizationError? {
            do throws(QuantizationError) {
                _ = try RoundToNearest.quantize(weight, scheme, fit: fit)
                return nil
            } catch {
                return error
            }
        }
        let scheme = QuantizationScheme(groupSize: 16)
        #expect(field(weight, scheme) == nil)
        for bits in [-1, 0, 1, 5, 6, 7, 9] {
            #expect(
                field(weight, QuantizationScheme(bits: bits, groupSize: 16))
                    == QuantizationError(field: "bits", expected: "2, 3, 4 or 8", actual: "\(bits)"))
        }
        for size in [-16, 0, 5, 64] {
            #expect(
                field(weight, QuantizationScheme(groupSize: size))
                    == QuantizationError(
                        field: "groupSize", expected: "a number that divides the 32 inputs", actual: "\(size)"))
        }
        #expect(field(weight, QuantizationScheme(groupSize: 16, scaleType: .int8))?.field == "scaleType")
        var ternary = QuantizationScheme.ternary(groupSize: 16)
        ternary.bits = 4
        #expect(field(weight, ternary)?.field == "bits")
        ternary = .ternary(groupSize: 16)
        ternary.isSymmetric = false
        #expect(field(weight, ternary)?.field == "isSymmetric")
        #expect(field(weight, .ternary(groupSize: 16), .leastError())?.field == "fit")
        #expect(field(weight, scheme, .leastError(steps: 0))?.field == "fit.steps")
        #expect(field(weight, scheme, .leastError(largestShrink: 1))?.field == "fit.largestShrink")
        #expect(field(weight, scheme, .leastError(power: 0))?.field == "fit.power")
        #expect(field(Tensor(zeros: [2, 32], dtype: .float16), scheme)?.field == "weight")
        #expect(field(Tensor(zeros: [32]), scheme)?.field == "weight")
        #expect(field(Tensor(zeros: [2, 0]), scheme)?.field == "inputs")
        for bad in [Float.nan, .infinity, -.infinity] {
            var values = weight.floats()
            values[33] = bad
            #expect(
                field(try Tensor(values, shape: [2, 32]), scheme)
                    == QuantizationError(field: "weight", expected: "finite numbers", actual: "\(bad) at [1, 1]"))
        }
        #expect(field(try Self.row([2e6, 0]), QuantizationScheme(groupSize: nil))?.field == "weight")
        #expect(field(try Self.row([3e38, -3e38]), QuantizationScheme(groupSize: nil, scaleType: .float32)) != nil)
    }

    @Test func aWeightWithoutOutputsHasNoCodes() throws {
        let weight = try RoundToNearest.quantize(Tensor(zeros: [0, 32]), QuantizationScheme(groupSize: 16))
        #expect(weight.codes.isEmpty && weight.scales.isEmpty)
    }

    /// A transposed view is read in its own order.
    @Test func stridesAreHonoured() throws {
        let weight = Operands.weight(32, 3)
        let scheme = QuantizationScheme(groupSize: 16)
        let view = try weight.permuted([1, 0])
        #expect(try RoundToNearest.quantize(view, scheme) == RoundToNearest.quantize(view.copied(), scheme))
    }
}
