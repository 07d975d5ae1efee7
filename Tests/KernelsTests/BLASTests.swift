import Kernels
import Testing

/// The wrapper against three loops: transposes, strides, alpha and beta, and the extents that are nothing.
@Suite struct BLASTests {
    struct Product: Sendable, CustomTestStringConvertible {
        let rows: Int
        let columns: Int
        let inner: Int
        let isTransposed: Bool
        let beta: Int

        var testDescription: String {
            "\(rows)x\(inner) · \(inner)x\(columns)\(isTransposed ? ", transposed" : ""), beta \(beta)"
        }
    }

    static let products: [Product] = [
        (1, 1, 1), (3, 5, 7), (17, 33, 65), (64, 1, 130), (2, 3, 0), (0, 3, 2), (3, 0, 2),
    ]
    .flatMap { (rows: Int, columns: Int, inner: Int) in
        [false, true].flatMap { isTransposed in
            [0, 1, -2].map {
                Product(rows: rows, columns: columns, inner: inner, isTransposed: isTransposed, beta: $0)
            }
        }
    }

    @Test(arguments: products) func floatsAreThreeLoops(product: Product) { check(Float.self, product) }

    @Test(arguments: products) func doublesAreThreeLoops(product: Product) { check(Double.self, product) }

    @Test func productsAreRowMajor() {
        // [1 2; 3 4] times the transpose of [5 6; 7 8].
        let a: [Double] = [1, 2, 3, 4]
        let b: [Double] = [5, 6, 7, 8]
        var c = [Double](repeating: 1, count: 4)
        Double.multiply(
            rows: 2, columns: 2, inner: 2, alpha: 2, a: a, aStride: 2, b: b, bStride: 2, transposeB: true, beta: 1,
            c: &c,
            cStride: 2)
        #expect(c == [35, 47, 79, 107])
        var plain = [Float](repeating: 0, count: 4)
        Float.multiply(
            rows: 2, columns: 2, inner: 2, alpha: 1, a: [1, 2, 3, 4], aStride: 2, b: [5, 6, 7, 8], bStride: 2,
            transposeB: false, beta: 0, c: &plain, cStride: 2)
        #expect(plain == [19, 22, 43, 50])
    }

    /// Small integers, so that every order of additions gives the same number; NaN between the rows is never read, and
    /// what lies between the rows of the result is never written.
    private func check<Number: BLAS.Scalar>(_ type: Number.Type, _ product: Product) {
        let (rows, columns, inner) = (product.rows, product.columns, product.inner)
        let aStride = inner + 2
        let bStride = (product.isTransposed ? inner : columns) + 3
        let cStride = columns + 1
        let a = matrix(type, rows, inner, aStride)
        let b = matrix(type, product.isTransposed ? columns : inner, product.isTransposed ? inner : columns, bStride)
        // Where beta is 0 the old contents do not matter, not even NaN.
        var c = [Number](repeating: product.beta == 0 ? .nan : 2, count: max(1, rows * cStride))
        var expected = c
        for row in 0..<rows {
            for column in 0..<columns {
                var sum: Number = 0
                for i in 0..<inner {
                    sum +=
                        a[row * aStride + i]
                        * (product.isTransposed ? b[column * bStride + i] : b[i * bStride + column])
                }
                expected[row * cStride + column] = 3 * sum + (product.beta == 0 ? 0 : Number(product.beta) * 2)
            }
        }
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                c.withUnsafeMutableBufferPointer { c in
                    guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress else { return }
                    Number.multiply(
                        rows: rows, columns: columns, inner: inner, alpha: 3, a: a, aStride: aStride, b: b,
                        bStride: bStride, transposeB: product.isTransposed, beta: Number(product.beta), c: c,
                        cStride: cStride)
                }
            }
        }
        let isEqual = zip(c, expected).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) }
        #expect(isEqual, "\(c) is not \(expected)")
    }

    private func matrix<Number: BLAS.Scalar>(_ type: Number.Type, _ rows: Int, _ columns: Int, _ stride: Int)
        -> [Number]
    {
        (0..<max(1, rows * stride)).map { $0 % stride < columns ? Number($0 * 7 % 11 - 5) : .nan }
    }
}
