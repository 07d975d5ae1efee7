import Foundation
import Kernels
import TensorCore
import Testing

/// Norms, gates, rotations and caps against Double, for every instruction set of this CPU.
@Suite struct DecoderRowTests {
    static let isas = ComputeContext.availableISAs

    private func numbers(_ shape: Shape, seed: UInt64, amplitude: Float = 2) -> Tensor {
        .random(uniform: shape, seed: seed, amplitude: amplitude)
    }

    @Test(arguments: isas)
    func rootMeanSquareNorm(isa: String) throws {
        let context = try ComputeContext(isa: isa)
        for width in [1, 7, 16, 33, 130] {
            let x = numbers([5, width], seed: 1)
            let gain = numbers([width], seed: 2)
            let result = try DenseLayers.rmsNorm(x, gain: gain, epsilon: 1e-3, context: context).floats()
            let (cells, gains) = (x.doubles(), gain.doubles())
            for row in 0..<5 {
                let range = row * width..<(row + 1) * width
                let mean = range.reduce(0) { $0 + cells[$1] * cells[$1] } / Double(width)
                for index in range {
                    let truth = cells[index] / (mean + 1e-3).squareRoot() * gains[index - row * width]
                    #expect(abs(Double(result[index]) - truth) < 2e-6 * max(1, abs(truth)))
                }
            }
        }
    }

    @Test(arguments: isas, Activation.allCases)
    func gates(isa: String, kind: Activation) throws {
        let context = try ComputeContext(isa: isa)
        for hidden in [1, 15, 40] {
            let x = numbers([3, 2 * hidden], seed: 3, amplitude: 4)
            let result = try DenseLayers.gated(x, kind, context: context)
            #expect(result.shape == [3, hidden])
            let cells = x.doubles()
            for row in 0..<3 {
                for column in 0..<hidden {
                    let gate = cells[row * 2 * hidden + column]
                    let active =
                        switch kind {
                        case .gelu: gate * 0.5 * (1 + erf(gate / 2.0.squareRoot()))
                        case .geluTanh:
                            gate * 0.5
                                * (1 + tanh((2 / Double.pi).squareRoot() * (gate + 0.044715 * gate * gate * gate)))
                        case .relu: max(0, gate)
                        case .silu: gate / (1 + exp(-gate))
                        }
                    let truth = active * cells[row * 2 * hidden + hidden + column]
                    #expect(abs(Double(result.floats()[row * hidden + column]) - truth) < 1e-5)
                }
            }
        }
    }

    @Test(arguments: isas)
    func caps(isa: String) throws {
        let context = try ComputeContext(isa: isa)
        let x = numbers([2, 37], seed: 4, amplitude: 100)
        let truth = x.doubles().map { 30 * tanh($0 / 30) }
        try DenseLayers.capInPlace(x, 30, context: context)
        #expect(zip(x.doubles(), truth).allSatisfy { abs($0 - $1) < 1e-5 })
    }

    @Test(arguments: isas, [false, true])
    func rotationsAndHeadNorms(isa: String, isInterleaved: Bool) throws {
        let context = try ComputeContext(isa: isa)
        // Five pairs of twelve features turn; 33 pairs make whole vectors and a rest.
        for (headDim, pairs) in [(12, 5), (66, 33), (64, 32)] {
            let (heads, kvHeads, rows) = (3, 2, 4)
            let width = (heads + 2 * kvHeads) * headDim
            let x = numbers([rows, width], seed: 5)
            let angle = numbers([rows, pairs], seed: 6, amplitude: 3)
            let cosine = try Tensor(angle.floats().map { cos($0) }, shape: angle.shape)
            let sine = try Tensor(angle.floats().map { sin($0) }, shape: angle.shape)
            let gains = HeadGains(query: numbers([headDim], seed: 7), key: numbers([headDim], seed: 8), epsilon: 0.5)
            var truth = x.doubles()
            for row in 0..<rows {
                for head in 0..<heads + kvHeads {
                    let start = row * width + head * headDim
                    let gain = (head < heads ? gains.query : gains.key).doubles()
                    let mean = (0..<headDim).reduce(0) { $0 + truth[start + $1] * truth[start + $1] } / Double(headDim)
                    for place in 0..<headDim { truth[start + place] *= gain[place] / (mean + 0.5).squareRoot() }
                    for pair in 0..<pairs {
                        let (first, second) =
                            isInterleaved
                            ? (start + 2 * pair, start + 2 * pair + 1) : (start + pair, start + pair + pairs)
                        let turn = angle.doubles()[row * pairs + pair]
                        let (left, right) = (truth[first], truth[second])
                        truth[first] = left * cos(turn) - right * sin(turn)
                        truth[second] = right * cos(turn) + left * sin(turn)
                    }
                }
            }
            try DenseLayers.prepareHeads(
                x, heads: heads, kvHeads: kvHeads, headDim: headDim, gains: gains,
                angles: RotaryAngles(cosine: cosine, sine: sine, isInterleaved: isInterleaved), context: context)
            #expect(zip(x.doubles(), truth).allSatisfy { abs($0 - $1) < 1e-5 })
        }
    }

    @Test func rowsOfTables() throws {
        let context = try ComputeContext()
        for dtype in [DType.float32, .float16, .bfloat16] {
            let table = numbers([6, 19], seed: 9).converted(to: dtype)
            let rows = try DenseLayers.gather([4, 0, 4], from: table, scale: 0.5, context: context)
            let wide = table.floats()
            let expected = [4, 0, 4].flatMap { row in wide[row * 19..<(row + 1) * 19].map { $0 * 0.5 } }
            #expect(rows.floats() == expected)
        }
        #expect(throws: TensorError.self) {
            _ = try DenseLayers.gather([6], from: numbers([6, 2], seed: 1), scale: 1, context: context)
        }
    }
}
