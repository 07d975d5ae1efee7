public import TensorCore

/// The mean magnitude of every input of a linear layer: what AWQ's scales are made of.
public struct ActivationStatistics: Sendable {
    /// Features of a row.
    public let inputs: Int
    /// Rows that have come in.
    public private(set) var count = 0
    private var sums: [Double]

    /// Statistics of no rows yet; a negative number of inputs is a programming error, as it is for an array.
    public init(inputs: Int) {
        self.inputs = inputs
        self.sums = [Double](repeating: 0, count: inputs)
    }

    /// Takes in the inputs of a layer, `[n, inputs]` in F32.
    /// - Throws: ``QuantizationError`` when they are no F32 matrix of that width, or not finite; nothing is taken in then.
    public mutating func add(_ rows: Tensor) throws(QuantizationError) {
        let dense = try rows.checkedMatrix("activations", columns: inputs)
        for row in 0..<dense.shape[0] {
            let source = dense.floats + row * inputs
            for input in 0..<inputs { sums[input] += Double(abs(source[input])) }
        }
        withExtendedLifetime(dense) {}
        count += dense.shape[0]
    }

    /// The mean of |x| for every input; zeros before rows have come in.
    public var meanMagnitudes: [Float] { sums.map { count == 0 ? 0 : Float($0 / Double(count)) } }
}
