import COpenBLAS

/// Matrix products on OpenBLAS: what references are made of.
package enum BLAS {
    /// A floating-point type that OpenBLAS multiplies.
    package protocol Scalar: BinaryFloatingPoint, Sendable {
        /// `c = alpha · op(a) · op(b) + beta · c`, row-major. `op(a)` is `[rows, inner]`, `op(b)` is `[inner, columns]`.
        static func multiply(
            rows: Int, columns: Int, inner: Int, alpha: Self, a: UnsafePointer<Self>, aStride: Int,
            b: UnsafePointer<Self>,
            bStride: Int, transposeB: Bool, beta: Self, c: UnsafeMutablePointer<Self>, cStride: Int)

        /// `c = aᵀ · b`, row-major. a is `[inner, rows]`, b is `[inner, columns]`.
        static func multiplyTransposed(
            rows: Int, columns: Int, inner: Int, a: UnsafePointer<Self>, aStride: Int, b: UnsafePointer<Self>,
            bStride: Int, c: UnsafeMutablePointer<Self>, cStride: Int)
    }

    /// References run on one thread of OpenBLAS, so that they never compete with the kernels they are compared with.
    static let isReady: Bool = {
        openblas_set_num_threads(1)
        return true
    }()

    fileprivate static func transposition(_ isTransposed: Bool) -> CBLAS_TRANSPOSE {
        isTransposed ? CblasTrans : CblasNoTrans
    }
}

extension Float: BLAS.Scalar {
    package static func multiply(
        rows: Int, columns: Int, inner: Int, alpha: Float, a: UnsafePointer<Float>, aStride: Int,
        b: UnsafePointer<Float>, bStride: Int, transposeB: Bool, beta: Float, c: UnsafeMutablePointer<Float>,
        cStride: Int
    ) {
        guard BLAS.isReady, rows > 0, columns > 0 else { return }
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, BLAS.transposition(transposeB), blasint(rows), blasint(columns),
            blasint(inner), alpha, a, blasint(max(1, aStride)), b, blasint(max(1, bStride)), beta, c,
            blasint(max(1, cStride)))
    }

    package static func multiplyTransposed(
        rows: Int, columns: Int, inner: Int, a: UnsafePointer<Float>, aStride: Int, b: UnsafePointer<Float>,
        bStride: Int, c: UnsafeMutablePointer<Float>, cStride: Int
    ) {
        guard BLAS.isReady, rows > 0, columns > 0 else { return }
        cblas_sgemm(
            CblasRowMajor, CblasTrans, CblasNoTrans, blasint(rows), blasint(columns), blasint(inner), 1, a,
            blasint(max(1, aStride)), b, blasint(max(1, bStride)), 0, c, blasint(max(1, cStride)))
    }
}

extension Double: BLAS.Scalar {
    package static func multiply(
        rows: Int, columns: Int, inner: Int, alpha: Double, a: UnsafePointer<Double>, aStride: Int,
        b: UnsafePointer<Double>, bStride: Int, transposeB: Bool, beta: Double, c: UnsafeMutablePointer<Double>,
        cStride: Int
    ) {
        guard BLAS.isReady, rows > 0, columns > 0 else { return }
        cblas_dgemm(
            CblasRowMajor, CblasNoTrans, BLAS.transposition(transposeB), blasint(rows), blasint(columns),
            blasint(inner), alpha, a, blasint(max(1, aStride)), b, blasint(max(1, bStride)), beta, c,
            blasint(max(1, cStride)))
    }

    package static func multiplyTransposed(
        rows: Int, columns: Int, inner: Int, a: UnsafePointer<Double>, aStride: Int, b: UnsafePointer<Double>,
        bStride: Int, c: UnsafeMutablePointer<Double>, cStride: Int
    ) {
        guard BLAS.isReady, rows > 0, columns > 0 else { return }
        cblas_dgemm(
            CblasRowMajor, CblasTrans, CblasNoTrans, blasint(rows), blasint(columns), blasint(inner), 1, a,
            blasint(max(1, aStride)), b, blasint(max(1, bStride)), 0, c, blasint(max(1, cStride)))
    }
}
