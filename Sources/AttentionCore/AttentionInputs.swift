public import TensorCore

/// The operands of one attention call.
///
/// Layout `[batch, length, heads, headDim]`, any strides but a dense last dimension.
public struct AttentionInputs: Sendable {
    /// Queries, `[batch, queryLength, heads, headDim]`.
    public var query: Tensor
    /// Keys, `[batch, keyLength, kvHeads, headDim]`: of the queries' type, or INT8 with ``keyScales``.
    public var key: Tensor
    /// Values, `[batch, keyLength, kvHeads, valueDim]`: of the keys' type.
    public var value: Tensor
    /// Added to the scores; broadcastable to `[batch, heads, queryLength, keyLength]`, any floating-point type.
    public var bias: Tensor?
    /// True (or a byte other than 0) where a query may attend; broadcastable to `[batch, heads, queryLength, keyLength]`.
    public var mask: Tensor?
    /// True number of queries of each sequence; rows beyond are padding and come out as zeros.
    public var queryLengths: [Int]?
    /// True number of keys of each sequence; rows beyond are padding and are never read into a result.
    public var keyLengths: [Int]?
    /// One slope per head: the score loses `slope · |place of query - key|`.
    public var alibiSlopes: [Float]?
    /// One extra score per head whose value is zero.
    public var sinks: [Float]?
    /// What INT8 keys are multiplied by, `[batch, keyLength, kvHeads]` F32, dense; `nil` for floating-point keys.
    public var keyScales: Tensor?
    /// What INT8 values are multiplied by, likewise.
    public var valueScales: Tensor?
    /// Where keys and values lie, when they are kept in pages: keys are then `[pages, pageSize, kvHeads, headDim]`, values and
    /// scales likewise.
    public var pages: PagedKeys?
    /// What the operator owns, by the names of ``AttentionOperator/parameters(for:)``; F32.
    public var parameters: [String: Tensor]

    /// Operands; only query, key and value are required.
    public init(
        query: Tensor, key: Tensor, value: Tensor, bias: Tensor? = nil, mask: Tensor? = nil,
        queryLengths: [Int]? = nil, keyLengths: [Int]? = nil, alibiSlopes: [Float]? = nil, sinks: [Float]? = nil,
        keyScales: Tensor? = nil, valueScales: Tensor? = nil, pages: PagedKeys? = nil,
        parameters: [String: Tensor] = [:]
    ) {
        self.query = query
        self.key = key
        self.value = value
        self.bias = bias
        self.mask = mask
        self.queryLengths = queryLengths
        self.keyLengths = keyLengths
        self.alibiSlopes = alibiSlopes
        self.sinks = sinks
        self.keyScales = keyScales
        self.valueScales = valueScales
        self.pages = pages
        self.parameters = parameters
    }
}

/// The result of one attention call.
public struct AttentionOutput: Sendable {
    /// `[batch, queryLength, heads, valueDim]`, of the inputs' element type; `[1, rows, heads, valueDim]` where the sequences'
    /// queries are one behind the other (``PagedKeys/queryStarts``), and the log-sum-exp likewise.
    ///
    /// A row that sees no key is zero.
    public var output: Tensor
    /// `[batch, heads, queryLength]` F32: the natural logarithm of each row's denominator, -infinity for an empty row.
    public var logSumExp: Tensor?

    /// A result.
    public init(output: Tensor, logSumExp: Tensor?) {
        self.output = output
        self.logSumExp = logSumExp
    }
}
