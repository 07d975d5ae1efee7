public import TensorCore

/// What is to be computed, before any data: shapes, element type, mask and modifiers.
///
/// Tests, benchmarks, `zoo explain` and schedulers ask operators about a problem before they allocate anything.
public struct AttentionProblem: Sendable, Hashable {
    /// Sequences.
    public var batch: Int
    /// Rows of the query tensor per sequence, padding included.
    public var queryLength: Int
    /// Rows of the key tensor per sequence, padding included.
    public var keyLength: Int
    /// Query heads.
    public var heads: Int
    /// Key and value heads; divides ``heads``.
    public var kvHeads: Int
    /// The extent of a query or key head.
    public var headDim: Int
    /// The extent of a value head.
    public var valueDim: Int
    /// The element type of query, key and value.
    public var dtype: DType
    /// Scale, mask, softcap, dropout.
    public var options: AttentionOptions
    /// True query lengths, where sequences are padded.
    public var queryLengths: [Int]?
    /// True key lengths, where sequences are padded.
    public var keyLengths: [Int]?
    /// The shape of the additive bias, where there is one.
    public var biasShape: Shape?
    /// The shape of the Bool mask, where there is one.
    public var maskShape: Shape?
    /// Whether scores fall off linearly with distance.
    public var hasALiBi: Bool
    /// Whether each head has a sink.
    public var hasSinks: Bool
    /// Whether keys and values are INT8 with a scale for each key and head.
    public var hasInt8Keys: Bool
    /// The pages in which keys and values lie, where they do.
    public var pages: PageLayout?

    /// A problem without data.
    public init(
        batch: Int = 1, queryLength: Int, keyLength: Int? = nil, heads: Int, kvHeads: Int? = nil, headDim: Int,
        valueDim: Int? = nil, dtype: DType = .float32, options: AttentionOptions = .init(),
        queryLengths: [Int]? = nil, keyLengths: [Int]? = nil, biasShape: Shape? = nil, maskShape: Shape? = nil,
        hasALiBi: Bool = false, hasSinks: Bool = false, hasInt8Keys: Bool = false, pages: PageLayout? = nil
    ) {
        self.batch = batch
        self.queryLength = queryLength
        self.keyLength = keyLength ?? queryLength
        self.heads = heads
        self.kvHeads = kvHeads ?? heads
        self.headDim = headDim
        self.valueDim = valueDim ?? headDim
        self.dtype = dtype
        self.options = options
        self.queryLengths = queryLengths
        self.keyLengths = keyLengths
        self.biasShape = biasShape
        self.maskShape = maskShape
        self.hasALiBi = hasALiBi
        self.hasSinks = hasSinks
        self.hasInt8Keys = hasInt8Keys
        self.pages = pages
    }

    /// Query heads that share one key head.
    public var group: Int { kvHeads == 0 ? 0 : heads / kvHeads }

    /// The factor on query · key.
    public var scale: Float { options.scale ?? 1 / Float(max(1, headDim)).squareRoot() }

    /// The true lengths of one sequence of the batch.
    public func geometry(_ sequence: Int, head: Int = 0) -> MaskGeometry {
        MaskGeometry(
            queryLength: queryLengths?[sequence] ?? queryLength, keyLength: keyLengths?[sequence] ?? keyLength,
            batch: sequence, head: head)
    }

    /// The features this problem uses beyond plain attention.
    public var features: Set<AttentionFeature> {
        var result: Set<AttentionFeature> = []
        if kvHeads != heads { result.insert(.groupedQuery) }
        if valueDim != headDim { result.insert(.valueDim) }
        if queryLength != keyLength { result.insert(.crossLength) }
        if queryLengths != nil { result.insert(.queryLengths) }
        if keyLengths != nil { result.insert(.keyLengths) }
        if biasShape != nil { result.insert(.bias) }
        if maskShape != nil { result.insert(.denseMask) }
        if options.softcap != nil { result.insert(.softcap) }
        if options.dropout > 0 { result.insert(.dropout) }
        if hasALiBi { result.insert(.alibi) }
        if hasSinks { result.insert(.sinks) }
        if hasInt8Keys { result.insert(.int8Keys) }
        if pages != nil { result.insert(.pages) }
        if options.scoreFunction != nil { result.insert(.scoreFunction) }
        options.mask.addFeatures(to: &result)
        return result
    }

    /// Floating-point operations that visible pairs need: 2 · (headDim + valueDim) each.
    ///
    /// Cost: O(batch · queryLength) for bands, O(batch · queryLength · keyLength) for other expressions. A dense Bool
    /// mask is data, so its pairs count as visible.
    public var usefulFlops: Double {
        var pairs = 0.0
        for sequence in 0..<batch {
            let geometry = geometry(sequence)
            if let band = options.mask.band(geometry) {
                for query in 0..<geometry.queryLength { pairs += Double(band.keys(for: query).count) }
            } else {
                let planes = options.mask.dependsOnHead ? heads : 1
                for head in 0..<planes {
                    pairs += Double(options.mask.visiblePairs(geometry.seen(by: head))) / Double(planes)
                }
            }
        }
        return pairs * Double(heads) * 2 * Double(headDim + valueDim)
    }

    /// Query rows of all sequences, padding included.
    public var queryRows: Int { pages?.rows ?? batch * queryLength }

    /// The shape of the output.
    public var outputShape: Shape {
        if let rows = pages?.rows { return [1, rows, heads, valueDim] }
        return [batch, queryLength, heads, valueDim]
    }

    /// The shape of the log-sum-exp.
    public var logSumExpShape: Shape {
        if let rows = pages?.rows { return [1, heads, rows] }
        return [batch, heads, queryLength]
    }

    /// Bytes of the output tensor.
    public var outputBytes: Int { queryRows * heads * valueDim * dtype.byteWidth }
}

extension AttentionMask {
    /// Cost: O(queries) where each sees one range of keys, else O(queries · keys).
    fileprivate func visiblePairs(_ geometry: MaskGeometry) -> Int {
        (0..<geometry.queryLength).reduce(0) { total, query in
            if let span = span(query: query, geometry) { return total + span.count }
            let keys = hull(queries: query..<query + 1, geometry)
            return total + keys.count { allows(query: query, key: $0, geometry) }
        }
    }

    fileprivate func addFeatures(to result: inout Set<AttentionFeature>) {
        switch self {
        case .full: break
        case .causal: result.insert(.causal)
        case .window: result.insert(.window)
        case .prefix, .or, .not: result.insert(.maskAlgebra)
        case .and(let parts): parts.forEach { $0.addFeatures(to: &result) }
        case .documents(let documents):
            result.insert(.documents)
            documents.inner.addFeatures(to: &result)
        case .tree: result.insert(.treeMask)
        case .shifted(let shifted):
            result.insert(.maskAlgebra)
            shifted.mask.addFeatures(to: &result)
        case .blocks: result.insert(.blockLayout)
        case .function: result.insert(.maskFunction)
        }
    }
}

extension AttentionProblem: CustomStringConvertible {
    /// For example `query [1, 512, 8, 64], key [1, 512, 8, 64], value [1, 512, 8, 64] F32, causal`.
    public var description: String {
        let names = features.map(\.rawValue).sorted()
        let shapes =
            "query \(Shape([batch, queryLength, heads, headDim])), key \(Shape([batch, keyLength, kvHeads, headDim])), "
            + "value \(Shape([batch, keyLength, kvHeads, valueDim])) \(dtype.rawValue)"
        return ([shapes] + names).joined(separator: ", ")
    }
}
