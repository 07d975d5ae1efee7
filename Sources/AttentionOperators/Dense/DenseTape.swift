/// A matrix of a dense program, and what a loss says about it.
final class DenseNode<Number: DenseScalar> {
    let value: DenseMatrix<Number>
    /// The derivative of the loss; `nil` is zero.
    private(set) var gradient: DenseMatrix<Number>?
    /// Whether the loss is to be derived by it.
    let isDerived: Bool

    init(_ value: DenseMatrix<Number>, isDerived: Bool) {
        self.value = value
        self.isDerived = isDerived
    }

    var rows: Int { value.rows }
    var columns: Int { value.columns }

    /// Adds a matrix that nobody else holds to the derivative.
    func accumulate(_ fresh: @autoclosure () -> DenseMatrix<Number>) {
        guard isDerived else { return }
        if let gradient { gradient.add(fresh()) } else { gradient = fresh() }
    }

    /// The derivative as memory that may be added to.
    func accumulating() -> DenseMatrix<Number> {
        if let gradient { return gradient }
        let zeros = DenseMatrix<Number>(repeating: 0, rows: rows, columns: columns)
        gradient = zeros
        return zeros
    }

    /// Frees what nobody needs any more.
    fileprivate func forget() { gradient = nil }
}

/// Records a computation on matrices, so that a loss can be derived by its leaves (reverse mode).
///
/// Operations are methods in `DenseTape+*.swift`; each computes its value at once. A tape that does not record keeps
/// nothing, so intermediates are freed as soon as the program lets go of them. One tape serves one task on one thread.
final class DenseTape<Number: DenseScalar> {
    let engine: any DenseEngine<Number>
    let isRecording: Bool
    /// The logarithm of each row's denominator, `[rows, heads]`, where a program has one.
    var logSumExp: DenseNode<Number>?
    /// What passes a node's derivative on to its operands, in the order of the computation.
    private var steps: [(node: DenseNode<Number>, passOn: (DenseMatrix<Number>) -> Void)] = []

    init(engine: any DenseEngine<Number>, isRecording: Bool) {
        self.engine = engine
        self.isRecording = isRecording
    }

    /// An operand: a leaf that the loss is derived by.
    func leaf(_ value: DenseMatrix<Number>) -> DenseNode<Number> { DenseNode(value, isDerived: isRecording) }

    /// A matrix that the loss is not derived by.
    func constant(_ value: DenseMatrix<Number>) -> DenseNode<Number> { DenseNode(value, isDerived: false) }

    /// The result of an operation.
    /// - Parameter passOn: given the derivative by the result, adds to those of the operands; must not keep or change it.
    func record(
        _ value: DenseMatrix<Number>, from operands: [DenseNode<Number>],
        passOn: @escaping (_ gradient: DenseMatrix<Number>) -> Void
    ) -> DenseNode<Number> {
        let isDerived = isRecording && operands.contains(where: \.isDerived)
        let node = DenseNode(value, isDerived: isDerived)
        if isDerived { steps.append((node, passOn)) }
        return node
    }

    /// Derives a loss by every leaf, given its derivatives by some nodes.
    ///
    /// Once for each tape.
    func backward(_ results: [(node: DenseNode<Number>, gradient: DenseMatrix<Number>)]) {
        for result in results { result.node.accumulate(result.gradient.copied()) }
        while let step = steps.popLast() {
            guard let gradient = step.node.gradient else { continue }
            step.passOn(gradient)
            step.node.forget()
        }
    }
}
