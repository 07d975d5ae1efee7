import COpenBLAS

/// Factorisations of dense matrices in Double by OpenBLAS, on one of its threads so that bits never depend on how many
/// there are.
package enum LAPACK {
    /// The lower Cholesky factor L of a symmetric positive definite matrix, `a = L · Lᵀ`, in place of its lower triangle.
    ///
    /// Row-major `[order, order]`; the strict upper triangle is neither read nor written. Cost: order³ / 3 operations.
    /// - Returns: whether the matrix is positive definite; if not, the lower triangle holds nothing of use.
    package static func factorizeLower(_ a: UnsafeMutablePointer<Double>, order: Int) -> Bool {
        guard BLAS.isReady, order > 0 else { return true }
        // LAPACK reads columns: our lower triangle is its upper one.
        var (triangle, size, info) = (CChar(UInt8(ascii: "U")), blasint(order), blasint(0))
        var stride = size
        _ = dpotrf_(&triangle, &size, a, &stride, &info)
        return info == 0
    }

    /// The inverse of a lower triangular matrix, in its place.
    ///
    /// Row-major `[order, order]`; the strict upper triangle is neither read nor written. Cost: order³ / 3 operations.
    /// - Returns: whether no number of the diagonal is zero.
    package static func invertLower(_ a: UnsafeMutablePointer<Double>, order: Int) -> Bool {
        guard BLAS.isReady, order > 0 else { return true }
        var (triangle, size, info) = (CChar(UInt8(ascii: "U")), blasint(order), blasint(0))
        var diagonal = CChar(UInt8(ascii: "N"))
        var stride = size
        _ = dtrtri_(&triangle, &diagonal, &size, a, &stride, &info)
        return info == 0
    }
}
