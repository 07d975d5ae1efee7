public import TensorCore

/// What a loss says about one attention call: its derivatives by the call's results.
public struct OutputGradient: Sendable {
    /// By the output, `[batch, queryLength, heads, valueDim]`, any floating-point type and strides.
    public var output: Tensor
    /// By the log-sum-exp, `[batch, heads, queryLength]`, where the loss depends on it.
    public var logSumExp: Tensor?

    /// Derivatives by the results.
    public init(output: Tensor, logSumExp: Tensor? = nil) {
        self.output = output
        self.logSumExp = logSumExp
    }
}

/// The derivatives of a loss by the operands of one attention call.
///
/// Each has the shape of its operand; query, key, value and bias have its element type too. A row that sees no key, and
/// padding, have zeros.
public struct AttentionGradients: Sendable {
    /// `[batch, queryLength, heads, headDim]`.
    public var query: Tensor
    /// `[batch, keyLength, kvHeads, headDim]`, summed over the query heads that share a key head.
    public var key: Tensor
    /// `[batch, keyLength, kvHeads, valueDim]`, summed over the query heads that share a key head.
    public var value: Tensor
    /// The shape of the bias as it was given: summed over every axis along which it was broadcast.
    public var bias: Tensor?
    /// `[heads]` F32 (F64 from a Double reference).
    public var sinks: Tensor?
    /// By name, the shape of each parameter, F32 (F64 from a Double reference).
    public var parameters: [String: Tensor]

    /// Derivatives by the operands.
    public init(
        query: Tensor, key: Tensor, value: Tensor, bias: Tensor? = nil, sinks: Tensor? = nil,
        parameters: [String: Tensor] = [:]
    ) {
        self.query = query
        self.key = key
        self.value = value
        self.bias = bias
        self.sinks = sinks
        self.parameters = parameters
    }
}

extension AttentionGradients {
    /// Every gradient under the name of its operand, in a fixed order.
    public var named: [(name: String, tensor: Tensor)] {
        var result = [("query", query), ("key", key), ("value", value)]
        if let bias { result.append(("bias", bias)) }
        if let sinks { result.append(("sinks", sinks)) }
        for (name, tensor) in parameters.sorted(by: { $0.key < $1.key }) {
            result.append(("parameter \(name)", tensor))
        }
        return result.map { (name: $0.0, tensor: $0.1) }
    }
}
