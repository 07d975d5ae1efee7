import Foundation
import Kernels
import TensorCore
import Testing

/// Products and recurrences of dense programs against Double, for every instruction set of this CPU.
@Suite struct DenseProductTests {
    static let isas = ComputeContext.availableISAs

    private func numbers(_ count: Int, seed: UInt64) -> [Float] {
        Tensor.random(uniform: [count], seed: seed).floats()
    }

    @Test(arguments: isas)
    func productsAgreeWithDouble(isa: String) throws {
        let kernels = try ComputeContext(threads: 1, isa: isa).kernels
        let shapes = [(1, 1, 1), (3, 17, 5), (14, 33, 128), (15, 32, 129), (70, 97, 300), (5, 1100, 40), (2, 3, 0)]
        for (rows, columns, inner) in shapes {
            for (transposeA, transposeB, adding) in [
                (false, false, false), (true, false, true), (false, true, true), (true, true, false),
            ] {
                // Rows in memory are wider than the operands, and NaN stands between.
                let (aWidth, bWidth) = ((transposeA ? rows : inner) + 3, (transposeB ? inner : columns) + 2)
                var a = numbers((transposeA ? inner : rows) * aWidth, seed: 1)
                var b = numbers((transposeB ? columns : inner) * bWidth, seed: 2)
                for cell in a.indices where cell % aWidth >= aWidth - 3 { a[cell] = .nan }
                for cell in b.indices where cell % bWidth >= bWidth - 2 { b[cell] = .nan }
                let start = numbers(rows * columns, seed: 3)
                var c = start
                kernels.multiply(
                    0.5, MatrixOperand(a, stride: aWidth, isTransposed: transposeA),
                    MatrixOperand(b, stride: bWidth, isTransposed: transposeB), rows: rows, columns: columns,
                    inner: inner, into: &c, stride: columns, adding: adding)
                for row in 0..<rows {
                    for column in 0..<columns {
                        var truth = adding ? Double(start[row * columns + column]) : 0
                        for k in 0..<inner {
                            let left = transposeA ? a[k * aWidth + row] : a[row * aWidth + k]
                            let right = transposeB ? b[column * bWidth + k] : b[k * bWidth + column]
                            truth += 0.5 * Double(left) * Double(right)
                        }
                        #expect(abs(Double(c[row * columns + column]) - truth) < 1e-5, "\(rows)x\(columns)x\(inner)")
                    }
                }
            }
        }
    }

    @Test(arguments: isas)
    func aRowDependsOnItselfAlone(isa: String) throws {
        let kernels = try ComputeContext(threads: 1, isa: isa).kernels
        let (rows, columns, inner) = (61, 45, 200)
        let a = numbers(rows * inner, seed: 4)
        let b = numbers(inner * columns, seed: 5)
        var whole = [Float](repeating: 0, count: rows * columns)
        kernels.multiply(
            1, MatrixOperand(a, stride: inner), MatrixOperand(b, stride: columns), rows: rows, columns: columns,
            inner: inner, into: &whole, stride: columns, adding: false)
        for row in [0, 13, 14, 60] {
            var one = [Float](repeating: 0, count: columns)
            kernels.multiply(
                1, MatrixOperand(Array(a[row * inner..<(row + 1) * inner]), stride: inner),
                MatrixOperand(b, stride: columns), rows: 1, columns: columns, inner: inner, into: &one,
                stride: columns, adding: false)
            #expect(one == Array(whole[row * columns..<(row + 1) * columns]))
        }
    }

    @Test(arguments: isas)
    func recurrencesAgreeWithDouble(isa: String) throws {
        let kernels = try ComputeContext(threads: 1, isa: isa).kernels
        for (features, stride) in [(1, 16), (7, 48), (150, 80)] {
            let start = numbers(features * stride, seed: 6)
            let decay = numbers(features, seed: 7)
            let gain = numbers(features, seed: 8)
            let value = numbers(stride, seed: 9)
            var state = start
            kernels.updateState(&state, stride: stride, decay: decay, gain: gain, value: value, features: features)
            var read = [Float](repeating: .nan, count: stride)
            kernels.readState(&read, state, stride: stride, weight: gain, features: features)
            var dots = [Float](repeating: .nan, count: features)
            kernels.dotState(&dots, state, stride: stride, vector: value, features: features)
            for f in 0..<features {
                var dot = 0.0
                for column in 0..<stride {
                    let cell = f * stride + column
                    let truth =
                        Double(decay[f]) * Double(start[cell]) + Double(gain[f]) * Double(value[column])
                    #expect(abs(Double(state[cell]) - truth) < 1e-6)
                    dot += Double(state[cell]) * Double(value[column])
                }
                #expect(abs(Double(dots[f]) - dot) < 1e-5)
            }
            for column in 0..<stride {
                let truth = (0..<features).reduce(0.0) { $0 + Double(gain[$1]) * Double(state[$1 * stride + column]) }
                #expect(abs(Double(read[column]) - truth) < 1e-5)
            }
        }
    }
}
