import Kernels

/// Where the products of a dense program are computed.
protocol DenseEngine<Number>: Sendable {
    /// The arithmetic.
    associatedtype Number: DenseScalar

    /// Whether this is the plain, materialised engine that others are compared with.
    var isReference: Bool { get }

    /// `c = alpha · op(a) · op(b)`, or `c += …`.
    func multiply(
        _ alpha: Number, _ a: DenseMatrix<Number>, transposeA: Bool, _ b: DenseMatrix<Number>, transposeB: Bool,
        into c: DenseMatrix<Number>, adding: Bool)

    /// e to the power of each number, in place; none is above 0.
    func exponentials(_ numbers: UnsafeMutablePointer<Number>, count: Int)

    /// Causal softmax over tokens in linear time; `nil` where the tape computes it from its definition.
    /// - Parameter ends: how many keys each row sees, never fewer than the row before.
    func recurrence(_ logits: DenseMatrix<Number>, ends: [Int]) -> (any CausalRecurrence<Number>)?
}

/// Softmax over the tokens that a row sees, feature by feature: for each row `i` and feature `f`, over keys `j` below its
/// end, `ρ_ijf = exp(k_jf) / Σ_j exp(k_jf)`.
protocol CausalRecurrence<Number> {
    /// The arithmetic.
    associatedtype Number: DenseScalar

    /// The logarithms of the denominators, `[rows, features]`; -infinity for rows that see nothing.
    func logSumExp() -> DenseMatrix<Number>

    /// The derivative by the logits, given that by ``logSumExp()``.
    func throughLogSumExp(_ gradient: DenseMatrix<Number>) -> DenseMatrix<Number>

    /// `o_i = Σ_f w_if Σ_j ρ_ijf v_j`; zeros for rows that see nothing.
    func mix(_ weights: DenseMatrix<Number>, _ values: DenseMatrix<Number>) -> DenseMatrix<Number>

    /// Derivatives by weights, logits and values, given that by ``mix(_:_:)``.
    func throughMix(
        _ weights: DenseMatrix<Number>, _ values: DenseMatrix<Number>, _ gradient: DenseMatrix<Number>
    ) -> (weights: DenseMatrix<Number>, logits: DenseMatrix<Number>, values: DenseMatrix<Number>)
}

/// OpenBLAS and Foundation: the reference.
struct ReferenceEngine<Number: DenseScalar>: DenseEngine {
    var isReference: Bool { true }

    func multiply(
        _ alpha: Number, _ a: DenseMatrix<Number>, transposeA: Bool, _ b: DenseMatrix<Number>, transposeB: Bool,
        into c: DenseMatrix<Number>, adding: Bool
    ) {
        let left = transposeA ? a.transposed() : a
        if c.isSketch { return }
        withExtendedLifetime((left, b, c)) {
            Number.multiply(
                rows: c.rows, columns: c.columns, inner: left.columns, alpha: alpha, a: left.base,
                aStride: left.stride, b: b.base, bStride: b.stride, transposeB: transposeB, beta: adding ? 1 : 0,
                c: c.base, cStride: c.stride)
        }
    }

    func exponentials(_ numbers: UnsafeMutablePointer<Number>, count: Int) {
        Number.exponentials(numbers, count)
    }

    func recurrence(_ logits: DenseMatrix<Number>, ends: [Int]) -> (any CausalRecurrence<Number>)? { nil }
}

/// The zoo's own microkernels.
struct FastEngine: DenseEngine {
    let kernels: KernelTable

    var isReference: Bool { false }

    func multiply(
        _ alpha: Float, _ a: DenseMatrix<Float>, transposeA: Bool, _ b: DenseMatrix<Float>, transposeB: Bool,
        into c: DenseMatrix<Float>, adding: Bool
    ) {
        let inner = transposeA ? a.rows : a.columns
        if c.isSketch {
            DenseLedger.keep(kernels.multiplyBytes(columns: c.columns, inner: inner))
            return
        }
        withExtendedLifetime((a, b, c)) {
            kernels.multiply(
                alpha, MatrixOperand(a.base, stride: a.stride, isTransposed: transposeA),
                MatrixOperand(b.base, stride: b.stride, isTransposed: transposeB), rows: c.rows, columns: c.columns,
                inner: inner, into: c.base, stride: c.stride, adding: adding)
        }
    }

    func exponentials(_ numbers: UnsafeMutablePointer<Float>, count: Int) {
        kernels.exponentials(numbers, count: count)
    }

    func recurrence(_ logits: DenseMatrix<Float>, ends: [Int]) -> (any CausalRecurrence<Float>)? {
        FastRecurrence(kernels: kernels, logits: logits, ends: ends)
    }
}
