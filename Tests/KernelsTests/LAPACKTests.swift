import Kernels
import TensorCore
import Testing

@Suite struct LAPACKTests {
    /// Sizes below and above OpenBLAS's own blocks.
    @Test(arguments: [1, 2, 33, 300]) func factorsMultiplyToTheMatrixAndInvert(order: Int) {
        let source = Tensor.random(uniform: [order, order], seed: 3).doubles()
        // A product with its own transpose, and a diagonal; the upper triangle holds what must not be read.
        var matrix = [Double](repeating: .nan, count: order * order)
        for row in 0..<order {
            for column in 0...row {
                let product = (0..<order).reduce(0.0) { $0 + source[row * order + $1] * source[column * order + $1] }
                matrix[row * order + column] = product + (row == column ? 1 : 0)
            }
        }
        var lower = matrix
        #expect(lower.withUnsafeMutableBufferPointer { LAPACK.factorizeLower($0.baseAddress!, order: order) })
        var inverse = lower
        #expect(inverse.withUnsafeMutableBufferPointer { LAPACK.invertLower($0.baseAddress!, order: order) })
        for row in 0..<order {
            for column in 0..<order {
                if column > row {
                    #expect(lower[row * order + column].isNaN && inverse[row * order + column].isNaN)
                    continue
                }
                let product = (0...column).reduce(0) { $0 + lower[row * order + $1] * lower[column * order + $1] }
                #expect(abs(product - matrix[row * order + column]) < 1e-10 * Double(order))
                let one = (column...row).reduce(0) { $0 + inverse[row * order + $1] * lower[$1 * order + column] }
                #expect(abs(one - (row == column ? 1 : 0)) < 1e-10 * Double(order))
            }
        }
    }

    @Test func whatHasNoFactorIsSaid() {
        var indefinite: [Double] = [1, 0, 2, 1]
        #expect(!indefinite.withUnsafeMutableBufferPointer { LAPACK.factorizeLower($0.baseAddress!, order: 2) })
        var singular: [Double] = [1, 0, 2, 0]
        #expect(!singular.withUnsafeMutableBufferPointer { LAPACK.invertLower($0.baseAddress!, order: 2) })
    }
}
