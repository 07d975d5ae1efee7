extension DenseTape {
    /// A part of a program that magnifies rounding, computed in Double on OpenBLAS whatever the tape's arithmetic.
    func inDouble(
        _ x: Node, _ program: (DenseTape<Double>, DenseNode<Double>) -> DenseNode<Double>
    ) -> Node {
        let inner = DenseTape<Double>(engine: ReferenceEngine<Double>(), isRecording: isRecording)
        let operand = inner.leaf(x.value.converted(Double.self))
        let result = program(inner, operand)
        return record(result.value.converted(Number.self), from: [x]) { gradient in
            inner.backward([(result, gradient.converted(Double.self))])
            if let derivative = operand.gradient { x.accumulate(derivative.converted(Number.self)) }
        }
    }
}

extension DenseMatrix {
    /// The same numbers in another arithmetic; for small matrices.
    func converted<Other: DenseScalar>(_ type: Other.Type) -> DenseMatrix<Other> {
        // An array that grows as rows are appended, its copy, and the copy's copy.
        DenseLedger.pass(count * (3 * MemoryLayout<Number>.stride + 2 * MemoryLayout<Other>.stride))
        return DenseMatrix<Other>(elements.map { Other($0) }, rows: rows, columns: columns)
    }
}
