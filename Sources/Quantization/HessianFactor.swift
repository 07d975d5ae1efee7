import Kernels

/// The upper Cholesky factor U of a damped Hessian's inverse, `(H + λ I)⁻¹ = Uᵀ · U`, in the order in which columns are
/// quantised.
///
/// Everything is in Double: an update of a hundred thousand terms in Float would decide near ties one way with one BLAS
/// or block size and the other way with another.
struct HessianFactor: Sendable {
    /// U, row-major; below the diagonal there is nothing of use.
    let upper: [Double]
    /// The column that comes at each step.
    let order: [Int]
    /// Columns whose inputs were always 0.
    let isDead: [Bool]
    /// The damping that was used, as a part of the mean of H's diagonal.
    let damping: Double
    /// λ.
    let addend: Double

    /// Dampings that are tried, each ten times the one before.
    static let attempts = 5
    /// What follows a damping of 0.
    private static let leastRaisedDamping = 0.001

    /// - Throws: ``QuantizationError`` when no damping makes the Hessian positive definite.
    init(_ hessian: InputHessian, damping: Double, isActOrdered: Bool) throws(QuantizationError) {
        let inputs = hessian.inputs
        let measured = (0..<inputs).map { hessian.element($0, $0) }
        // A dead column meets no other: any diagonal leaves the others as they are. 1 is the usual choice.
        let isDead = measured.map { $0 == 0 }
        let diagonal = measured.map { $0 == 0 ? 1 : $0 }
        let mean = diagonal.reduce(0, +) / Double(inputs)
        let columns = Array(0..<inputs)
        let order =
            isActOrdered
            ? columns.sorted { (-diagonal[$0], $0) < (-diagonal[$1], $1) }
            : columns
        var (used, factor) = (damping, [Double]?.none)
        var tried: [Double] = []
        while factor == nil && tried.count < Self.attempts {
            if !tried.isEmpty { used = max(used * 10, Self.leastRaisedDamping) }
            tried.append(used)
            factor = Self.factor(hessian, order: order, diagonal: diagonal.map { $0 + used * mean })
        }
        guard let factor else {
            throw QuantizationError(
                field: "hessian", expected: "a matrix that damping makes positive definite",
                actual: "none with a damping of \(tried.map { "\($0)" }.joined(separator: ", "))")
        }
        self.upper = factor
        self.order = order
        self.isDead = isDead
        self.damping = used
        self.addend = used * mean
    }

    /// U, or `nil` when the matrix is not positive definite.
    ///
    /// Were the rows and columns of H reversed, `H = L Lᵀ` would be `R Rᵀ` with R upper, and U = R⁻¹: so L is inverted and
    /// read backwards. That is half the work of inverting H and factorising again, and H is inverted only once.
    private static func factor(_ hessian: InputHessian, order: [Int], diagonal: [Double]) -> [Double]? {
        let inputs = order.count
        let reversed = Array(order.reversed())
        var matrix = [Double](repeating: 0, count: inputs * inputs)
        let isDefinite = matrix.withUnsafeMutableBufferPointer { matrix in
            guard let base = matrix.baseAddress else { return false }
            for row in 0..<inputs {
                for column in 0..<row {
                    base[row * inputs + column] = hessian.element(reversed[row], reversed[column])
                }
                base[row * inputs + row] = diagonal[reversed[row]]
            }
            return LAPACK.factorizeLower(base, order: inputs) && LAPACK.invertLower(base, order: inputs)
        }
        guard isDefinite else { return nil }
        matrix.reverse()
        return (0..<inputs).allSatisfy { matrix[$0 * inputs + $0].isFinite } ? matrix : nil
    }
}
