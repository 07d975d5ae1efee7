import TensorCore

extension AttentionProblem {
    /// The problem that operands and options pose, after checking every operand.
    ///
    /// Cost: O(rank); no data is read.
    /// - Throws: ``AttentionError`` that names the operand, what was expected and what came.
    public init(_ inputs: AttentionInputs, options: AttentionOptions) throws(AttentionError) {
        let query = inputs.query.shape
        let key = inputs.key.shape
        let value = inputs.value.shape
        guard query.rank == 4 else {
            throw .invalidShape(operand: "query", expected: "[batch, queryLength, heads, headDim]", actual: query)
        }
        if let pages = inputs.pages {
            try Self.check(pages, inputs)
        } else {
            guard key.rank == 4, key[0] == query[0], key[3] == query[3] else {
                throw .invalidShape(
                    operand: "key", expected: "[\(query[0]), keyLength, kvHeads, \(query[3])]", actual: key)
            }
        }
        guard value.rank == 4, value[0] == key[0], value[1] == key[1], value[2] == key[2] else {
            throw .invalidShape(
                operand: "value", expected: "[\(key[0]), \(key[1]), \(key[2]), valueDim]", actual: value)
        }
        guard query[2] > 0, query[3] > 0 else {
            throw .invalidShape(operand: "query", expected: "at least one head of at least 1", actual: query)
        }
        guard value[3] > 0 else {
            throw .invalidShape(operand: "value", expected: "a head of at least 1", actual: value)
        }
        guard key[2] > 0, query[2] % key[2] == 0 else {
            throw .invalidShape(
                operand: "key", expected: "a number of kvHeads that divides the \(query[2]) heads", actual: key)
        }
        guard inputs.query.dtype.isFloatingPoint else {
            throw .invalidDType(operand: "query", expected: Self.floatingPoint, actual: inputs.query.dtype)
        }
        let hasInt8Keys = inputs.key.dtype == .int8
        let stored = hasInt8Keys ? DType.int8 : inputs.query.dtype
        for (name, tensor) in [("key", inputs.key), ("value", inputs.value)] where tensor.dtype != stored {
            throw .invalidDType(operand: name, expected: [stored], actual: tensor.dtype)
        }
        try Self.checkScales(inputs, hasInt8Keys)
        for (name, tensor) in [("query", inputs.query), ("key", inputs.key), ("value", inputs.value)]
        where tensor.strides[3] != 1 && tensor.shape[3] > 1 {
            throw .tensor(
                operand: name,
                reason: "the last dimension has stride \(tensor.strides[3]); expected 1, so call contiguous()")
        }
        let pages = inputs.pages
        let ragged = pages?.queryLengths
        self.init(
            batch: pages?.sequences ?? query[0], queryLength: ragged.map { $0.max() ?? 0 } ?? query[1],
            keyLength: pages.map { $0.keyLengths.max() ?? 0 } ?? key[1], heads: query[2], kvHeads: key[2],
            headDim: query[3], valueDim: value[3], dtype: inputs.query.dtype, options: options,
            queryLengths: ragged ?? inputs.queryLengths, keyLengths: pages?.keyLengths ?? inputs.keyLengths,
            biasShape: inputs.bias?.shape, maskShape: inputs.mask?.shape, hasALiBi: inputs.alibiSlopes != nil,
            hasSinks: inputs.sinks != nil, hasInt8Keys: hasInt8Keys,
            pages: pages.map {
                PageLayout(pages: key[0], pageSize: $0.pageSize, rows: $0.queryStarts == nil ? nil : query[1])
            })
        try checkModifiers(inputs)
        try validate()
        try pages?.check(seenBy: self)
    }

    /// Checks a problem that was not made from operands.
    ///
    /// Cost: O(batch).
    /// - Throws: ``AttentionError`` that names the part, what was expected and what came.
    public func validate() throws(AttentionError) {
        let lengths = [("batch", batch), ("queryLength", queryLength), ("keyLength", keyLength)]
        for (name, value) in lengths where value < 0 {
            throw .invalidValue(operand: name, expected: "at least 0", actual: "\(value)")
        }
        let extents = [("heads", heads), ("kvHeads", kvHeads), ("headDim", headDim), ("valueDim", valueDim)]
        for (name, value) in extents where value < 1 {
            throw .invalidValue(operand: name, expected: "at least 1", actual: "\(value)")
        }
        guard heads % kvHeads == 0 else {
            throw .invalidValue(operand: "kvHeads", expected: "a divisor of the \(heads) heads", actual: "\(kvHeads)")
        }
        guard dtype.isFloatingPoint else {
            throw .invalidDType(operand: "query", expected: Self.floatingPoint, actual: dtype)
        }
        let widest = max(headDim, valueDim)
        for (name, length) in [("queryLength", queryLength), ("keyLength", keyLength)] {
            guard Self.isAddressable([batch, length, heads, widest, 8]) else {
                throw .invalidValue(operand: name, expected: "tensors that fit an address space", actual: "\(length)")
            }
        }
        let scores = Shape([batch, heads, queryLength, keyLength])
        if let biasShape { try Self.checkBroadcast("bias", biasShape, to: scores) }
        if let maskShape { try Self.checkBroadcast("mask", maskShape, to: scores) }
        try checkLengths("query_lengths", queryLengths, limit: queryLength)
        try checkLengths("key_lengths", keyLengths, limit: keyLength)
        try options.validate()
    }

    private static func check(_ pages: PagedKeys, _ inputs: AttentionInputs) throws(AttentionError) {
        let query = inputs.query.shape
        let key = inputs.key.shape
        guard key.rank == 4, key[1] == pages.pageSize, key[3] == query[3] else {
            throw .invalidShape(
                operand: "key", expected: "[pages, \(pages.pageSize), kvHeads, \(query[3])]", actual: key)
        }
        if let starts = pages.queryStarts {
            let rows = starts.last ?? 0
            guard query[0] == 1, query[1] == rows else {
                throw .invalidShape(
                    operand: "query", expected: "[1, \(rows), heads, headDim] as query_starts say", actual: query)
            }
            guard inputs.queryLengths == nil else {
                throw .invalidValue(
                    operand: "query_lengths", expected: "none beside query_starts",
                    actual: "\(inputs.queryLengths ?? [])")
            }
        } else if query[0] != pages.sequences {
            throw .invalidShape(
                operand: "query",
                expected: "[\(pages.sequences), queryLength, heads, headDim], one for each block table",
                actual: query)
        }
        guard inputs.keyLengths == nil || inputs.keyLengths == pages.keyLengths else {
            throw .invalidValue(
                operand: "key_lengths", expected: "those of the pages, \(pages.keyLengths)",
                actual: "\(inputs.keyLengths ?? [])")
        }
        try pages.check(pages: key[0])
        guard key[0] * pages.pageSize <= Int(Int32.max) else {
            throw .invalidShape(operand: "key", expected: "at most \(Int32.max) slots", actual: key)
        }
        for (name, tensor) in [("key", inputs.key), ("value", inputs.value)]
        where tensor.shape.rank == 4 && tensor.strides[0] != tensor.strides[1] * tensor.shape[1] && tensor.shape[0] > 1
        {
            throw .tensor(
                operand: name,
                reason:
                    "pages must lie one behind the other: strides \(tensor.strides) are not those of \(tensor.shape)")
        }
    }

    private static let floatingPoint: [DType] = [.float32, .float16, .bfloat16, .float64]

    private static func isAddressable(_ factors: [Int]) -> Bool {
        var product = 1
        for factor in factors {
            let (next, overflow) = product.multipliedReportingOverflow(by: factor)
            if overflow { return false }
            product = next
        }
        return true
    }

    private static func checkScales(_ inputs: AttentionInputs, _ hasInt8Keys: Bool) throws(AttentionError) {
        let shape = Shape(Array(inputs.key.shape.dimensions.prefix(3)))
        for (name, scales) in [("key_scales", inputs.keyScales), ("value_scales", inputs.valueScales)] {
            guard let scales else {
                guard hasInt8Keys else { continue }
                throw .missingOperand(operand: name, expected: "\(shape), what INT8 keys and values are multiplied by")
            }
            guard hasInt8Keys else {
                throw .invalidDType(operand: "key", expected: [.int8], actual: inputs.key.dtype)
            }
            guard scales.shape == shape, scales.isContiguous else {
                throw .invalidShape(operand: name, expected: "\(shape), dense", actual: scales.shape)
            }
            guard scales.dtype == .float32 else {
                throw .invalidDType(operand: name, expected: [.float32], actual: scales.dtype)
            }
        }
    }

    private func checkModifiers(_ inputs: AttentionInputs) throws(AttentionError) {
        if let bias = inputs.bias, !bias.dtype.isFloatingPoint {
            throw .invalidDType(operand: "bias", expected: Self.floatingPoint, actual: bias.dtype)
        }
        if let mask = inputs.mask, mask.dtype != .bool, mask.dtype != .uint8 {
            throw .invalidDType(operand: "mask", expected: [.bool, .uint8], actual: mask.dtype)
        }
        for (name, values) in [("alibi_slopes", inputs.alibiSlopes), ("sinks", inputs.sinks)] {
            guard let values else { continue }
            guard values.count == heads else {
                throw .invalidShape(operand: name, expected: "[\(heads)], one for each head", actual: [values.count])
            }
            // A sink of -infinity is a head without one; anything else that is not finite poisons every row.
            if let bad = values.first(where: { !($0.isFinite || (name == "sinks" && $0 == -.infinity)) }) {
                throw .invalidValue(operand: name, expected: "finite numbers", actual: "\(bad)")
            }
        }
    }

    private static func checkBroadcast(_ operand: String, _ shape: Shape, to scores: Shape) throws(AttentionError) {
        let fits =
            shape.rank <= 4
            && zip(shape.dimensions.reversed(), scores.dimensions.reversed()).allSatisfy { $0 == 1 || $0 == $1 }
        guard fits else {
            throw .invalidShape(operand: operand, expected: "a shape that broadcasts to \(scores)", actual: shape)
        }
    }

    private func checkLengths(_ operand: String, _ lengths: [Int]?, limit: Int) throws(AttentionError) {
        guard let lengths else { return }
        guard lengths.count == batch else {
            throw .invalidShape(
                operand: operand, expected: "[\(batch)], one for each sequence", actual: [lengths.count])
        }
        if let bad = lengths.first(where: { $0 < 0 || $0 > limit }) {
            throw .invalidValue(operand: operand, expected: "lengths from 0 to \(limit)", actual: "\(bad)")
        }
    }
}
