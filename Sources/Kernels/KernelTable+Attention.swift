import CKernels

/// What is applied to scores between the two products, one entry for each row.
///
/// See `struct zoo_score_modifiers`.
///
/// Scores are in the base-2 logarithm: ``softcap`` and ``slopes`` carry a factor log2(e); the bias does not.
package struct ScoreModifiers {
    /// 0: none.
    package var softcap: Float = 0
    /// First visible key of the block.
    package var firstKey: UnsafePointer<Int32>?
    /// End of the visible keys of the block.
    package var endKey: UnsafePointer<Int32>?
    /// Bias of each row at the block's first key.
    package var bias: UnsafePointer<UnsafePointer<Float>?>?
    /// Bytes of each row at the block's first key; 0 hides a key.
    package var mask: UnsafePointer<UnsafePointer<UInt8>?>?
    /// ALiBi slope of each row.
    package var slopes: UnsafePointer<Float>?
    /// Each row's place among the keys, relative to the block's first key.
    package var places: UnsafePointer<Int32>?
    /// Changes scores of a row, base 2 in and out; the last change before the mask.
    package var function:
        (@convention(c) (UnsafeMutableRawPointer?, Int64, Int64, Int64, UnsafeMutablePointer<Float>?) -> Void)?
    /// What ``function`` is called with.
    package var functionContext: UnsafeMutableRawPointer?
    /// The low halves of the rows' dropout keys; `nil` is no dropout.
    package var dropLow: UnsafePointer<UInt32>?
    /// The high halves.
    package var dropHigh: UnsafePointer<UInt32>?
    /// A weight whose number is below is dropped.
    package var dropThreshold: UInt32 = 0
    /// What kept weights are multiplied by.
    package var keepScale: Float = 1
    /// The place of the block's first key among all keys: what dropout counts.
    package var firstPlace: Int32 = 0

    /// No modifiers.
    package init() {}

    var c: zoo_score_modifiers {
        zoo_score_modifiers(
            softcap: softcap, first_key: firstKey, end_key: endKey, bias: bias, mask: mask, slope: slopes,
            place: places, function: function, function_context: functionContext, drop_low: dropLow,
            drop_high: dropHigh, drop_threshold: dropThreshold, keep_scale: keepScale, first_place: firstPlace)
    }
}

/// The running state of the rows of one task: accumulated output, maximum and denominator.
package struct RowState {
    /// [rows][outputStride], padded to whole panels.
    package var output: UnsafeMutablePointer<Float>
    /// Floats between two rows of ``output``.
    package var outputStride: Int
    /// Running maximum of each row, base 2.
    package var rowMax: UnsafeMutablePointer<Float>
    /// Running denominator of each row.
    package var rowSum: UnsafeMutablePointer<Float>

    /// Memory for the state; ``reset(rows:)`` makes it that of rows that have seen no key.
    package init(
        output: UnsafeMutablePointer<Float>, outputStride: Int, rowMax: UnsafeMutablePointer<Float>,
        rowSum: UnsafeMutablePointer<Float>
    ) {
        self.output = output
        self.outputStride = outputStride
        self.rowMax = rowMax
        self.rowSum = rowSum
    }

    /// The state of the rows from one on.
    package func from(row: Int) -> RowState {
        RowState(
            output: output + row * outputStride, outputStride: outputStride, rowMax: rowMax + row, rowSum: rowSum + row)
    }

    /// Forgets every key.
    package func reset(rows: Int) {
        output.update(repeating: 0, count: rows * outputStride)
        rowMax.update(repeating: -.infinity, count: rows)
        rowSum.update(repeating: 0, count: rows)
    }
}

/// Packed keys and values of one block.
package struct KeyValueBlock {
    /// Keys in the block.
    package var keys: Int
    /// [key panel][headDim][panel width].
    package var keyPanels: UnsafeMutablePointer<Float>
    /// [valueDim panel][valuePanelRows][panel width].
    package var valuePanels: UnsafeMutablePointer<Float>
    /// Rows that each value panel has room for.
    package var valuePanelRows: Int
    /// Whether every value is finite; if not, hidden keys are passed over one by one.
    package var isFinite: Bool
    /// What the panels' integers are multiplied by; `nil` for floating-point keys and values.
    package var scales: KeyValueScales?

    /// A block.
    package init(
        keys: Int, keyPanels: UnsafeMutablePointer<Float>, valuePanels: UnsafeMutablePointer<Float>,
        valuePanelRows: Int, isFinite: Bool, scales: KeyValueScales? = nil
    ) {
        self.scales = scales
        self.keys = keys
        self.keyPanels = keyPanels
        self.valuePanels = valuePanels
        self.valuePanelRows = valuePanelRows
        self.isFinite = isFinite
    }
}

/// The operands of few query rows: nothing but the queries is copied.
package struct FewOperands {
    /// Query rows, at most ``ZooLimits/fewTaskRows``, ordered by query, then key head, then place in the group.
    package var rows: Int
    /// Key heads.
    package var kvHeads: Int
    /// Consecutive rows that share a key head.
    package var group: Int
    /// The extent of a query or key head.
    package var headDim: Int
    /// The extent of a value head.
    package var valueDim: Int
    /// [rows][queryStride], scaled, padded with zeros.
    package var query: UnsafePointer<Float>
    /// Floats between two query rows.
    package var queryStride: Int
    /// Slot 0 of the keys.
    package var key: UnsafeRawPointer
    /// Elements between two keys.
    package var keyStride: Int
    /// Elements between two key heads.
    package var keyHeadStride: Int
    /// Slot 0 of the values.
    package var value: UnsafeRawPointer
    /// Elements between two values.
    package var valueStride: Int
    /// Elements between two value heads.
    package var valueHeadStride: Int
    /// The element type of keys and values.
    package var code: Int32
    /// The slot of each key of the block; `nil` where keys follow each other.
    package var slots: UnsafePointer<Int32>?
    /// Keys behind the block that will be read next: their slots follow, and they are fetched ahead.
    package var following: Int
    /// What integers are multiplied by, one number for each key and head; `nil` for floating-point keys and values.
    package var scales: KeyValueScales?

    /// Operands.
    package init(
        rows: Int, kvHeads: Int, group: Int, headDim: Int, valueDim: Int, query: UnsafePointer<Float>,
        queryStride: Int, key: UnsafeRawPointer, keyStride: Int, keyHeadStride: Int, value: UnsafeRawPointer,
        valueStride: Int, valueHeadStride: Int, code: Int32, slots: UnsafePointer<Int32>? = nil,
        following: Int = 0, scales: KeyValueScales? = nil
    ) {
        self.slots = slots
        self.following = following
        self.rows = rows
        self.kvHeads = kvHeads
        self.group = group
        self.headDim = headDim
        self.valueDim = valueDim
        self.query = query
        self.queryStride = queryStride
        self.key = key
        self.keyStride = keyStride
        self.keyHeadStride = keyHeadStride
        self.value = value
        self.valueStride = valueStride
        self.valueHeadStride = valueHeadStride
        self.code = code
        self.scales = scales
    }
}

/// The scales of a block's INT8 keys and values.
package struct KeyValueScales {
    /// The scale of the key in slot 0.
    package var key: UnsafePointer<Float>
    /// The scale of the value in slot 0.
    package var value: UnsafePointer<Float>
    /// Floats between the scales of two slots.
    package var stride: Int
    /// Floats between the scales of two heads.
    package var headStride: Int

    /// Scales.
    package init(key: UnsafePointer<Float>, value: UnsafePointer<Float>, stride: Int, headStride: Int) {
        self.key = key
        self.value = value
        self.stride = stride
        self.headStride = headStride
    }

    var c: zoo_scales {
        zoo_scales(key: key, value: value, stride: Int64(stride), head_stride: Int64(headStride))
    }
}

/// Limits that the kernels are compiled with.
package enum ZooLimits {
    /// The most keys that one attention step takes.
    package static let keyBlock = Int(ZOO_MAX_KEY_BLOCK)
    /// The most query rows sharing a key head for which keys and values are read where they lie.
    package static let fewRows = Int(ZOO_MAX_FEW_ROWS)
    /// The most query rows that ``KernelTable/attendFew(_:keys:state:scores:sums:modifiers:)`` takes, of all key heads
    /// together.
    package static let fewTaskRows = Int(ZOO_MAX_FEW_TASK_ROWS)
    /// Floats between two rows of scores.
    package static let scoreStride = Int(ZOO_SCORE_STRIDE)
}

extension KernelTable {
    /// Floats of scratch that ``attend(rows:headDim:valueDim:queryTiles:block:state:scores:modifiers:)`` needs.
    package var scoreScratchFloats: Int { tileRows * ZooLimits.scoreStride }

    /// Packs query rows into register tiles, multiplied by `scale`.
    package func packQuery(
        _ tiles: UnsafeMutablePointer<Float>, rows: UnsafeRawPointer, code: Int32, stride: Int, count: Int,
        headDim: Int, scale: Float
    ) {
        c.pointee.pack_query(tiles, rows, code, Int64(stride), Int64(count), Int64(headDim), scale)
    }

    /// Packs keys into transposed panels.
    package func packKeys(
        _ panels: UnsafeMutablePointer<Float>, rows: UnsafeRawPointer, code: Int32, stride: Int, count: Int,
        headDim: Int
    ) {
        c.pointee.pack_keys(panels, rows, code, Int64(stride), Int64(count), Int64(headDim))
    }

    /// Packs values into panels; returns whether every value is finite.
    package func packValues(
        _ panels: UnsafeMutablePointer<Float>, rows: UnsafeRawPointer, code: Int32, stride: Int, count: Int,
        valueDim: Int, panelRows: Int
    ) -> Bool {
        c.pointee.pack_values(panels, rows, code, Int64(stride), Int64(count), Int64(valueDim), Int64(panelRows)) != 0
    }

    /// One step of online softmax: rows against one block of keys (FlashAttention-2, algorithm 1, lines 8 to 10).
    package func attend(
        rows: Int, headDim: Int, valueDim: Int, queryTiles: UnsafePointer<Float>, block: KeyValueBlock,
        state: RowState, scores: UnsafeMutablePointer<Float>, modifiers: ScoreModifiers
    ) {
        var arguments = zoo_attend_args(
            rows: Int64(rows), keys: Int64(block.keys), head_dim: Int64(headDim), value_dim: Int64(valueDim),
            query_tiles: queryTiles, key_panels: block.keyPanels, value_panels: block.valuePanels,
            value_panel_rows: Int64(block.valuePanelRows), output: state.output,
            output_stride: Int64(state.outputStride), row_max: state.rowMax, row_sum: state.rowSum, scores: scores,
            scales: block.scales?.c ?? zoo_scales(), modifiers: modifiers.c,
            guarded: block.isFinite ? 0 : 1)
        c.pointee.attend_block(&arguments)
    }

    /// One step of online softmax for few rows, on keys and values that lie in memory as they came.
    ///
    /// - Parameters:
    ///   - scores: scratch, ``ZooLimits/scoreStride`` floats for each row.
    ///   - sums: scratch, as large as the state's output.
    package func attendFew(
        _ operands: FewOperands, keys: Int, state: RowState, scores: UnsafeMutablePointer<Float>,
        sums: UnsafeMutablePointer<Float>, modifiers: ScoreModifiers
    ) {
        var arguments = zoo_few_args(
            rows: Int64(operands.rows), keys: Int64(keys), kv_heads: Int64(operands.kvHeads),
            group: Int64(operands.group), head_dim: Int64(operands.headDim), value_dim: Int64(operands.valueDim),
            query: operands.query, query_stride: Int64(operands.queryStride), key: operands.key,
            value: operands.value, slots: operands.slots, following: Int64(operands.following),
            key_stride: Int64(operands.keyStride),
            value_stride: Int64(operands.valueStride), key_head_stride: Int64(operands.keyHeadStride),
            value_head_stride: Int64(operands.valueHeadStride), dtype: operands.code,
            scales: operands.scales?.c ?? zoo_scales(), output: state.output,
            output_stride: Int64(state.outputStride), row_max: state.rowMax, row_sum: state.rowSum, scores: scores,
            sums: sums, modifiers: modifiers.c)
        c.pointee.attend_few(&arguments)
    }

    /// Materialised scores of rows against every key, modified and masked.
    package func scores(
        rows: Int, keys: Int, headDim: Int, queryTiles: UnsafePointer<Float>, keyPanels: UnsafePointer<Float>,
        scores: UnsafeMutablePointer<Float>, stride: Int, modifiers: ScoreModifiers
    ) {
        var arguments = zoo_scores_args(
            rows: Int64(rows), keys: Int64(keys), head_dim: Int64(headDim), query_tiles: queryTiles,
            key_panels: keyPanels, scores: scores, scores_stride: Int64(stride), modifiers: modifiers.c)
        c.pointee.scores_block(&arguments)
    }

    /// Softmax of materialised rows without the division.
    package func softmax(
        _ scores: UnsafeMutablePointer<Float>, stride: Int, rows: Int, keys: Int, state: RowState
    ) {
        c.pointee.softmax_rows(scores, Int64(stride), Int64(rows), Int64(keys), state.rowMax, state.rowSum)
    }

    /// Drops weights of materialised rows after ``softmax(_:stride:rows:keys:state:)``; nothing without dropout.
    package func drop(
        _ weights: UnsafeMutablePointer<Float>, stride: Int, rows: Int, keys: Int, modifiers: ScoreModifiers
    ) {
        guard modifiers.dropLow != nil else { return }
        var modifiers = modifiers.c
        c.pointee.drop_rows(weights, Int64(stride), Int64(rows), Int64(keys), &modifiers)
    }

    /// Weights times values, added to the state's output.
    package func weigh(
        _ weights: UnsafePointer<Float>, stride: Int, rows: Int, valueDim: Int, block: KeyValueBlock, state: RowState
    ) {
        c.pointee.weigh_values(
            state.output, Int64(state.outputStride), weights, Int64(stride), block.valuePanels,
            Int64(block.valuePanelRows), Int64(rows), Int64(block.keys), Int64(valueDim), block.isFinite ? 0 : 1)
    }

    /// Merges the state of other keys into `state`, row by row, exactly as if all keys had been seen at once.
    ///
    /// With m the larger maximum: l = 2^(m1 - m) l1 + 2^(m2 - m) l2, and the outputs likewise.
    /// - Parameter factors: scratch for two floats per row.
    package func merge(
        _ other: RowState, into state: RowState, rows: Int, valueDim: Int, factors: UnsafeMutablePointer<Float>
    ) {
        let left = factors
        let right = factors + rows
        for row in 0..<rows {
            let highest = max(state.rowMax[row], other.rowMax[row])
            // Rows that have seen no key keep -infinity; shifting by it would make NaN.
            let shift = highest == -.infinity ? 0 : highest
            left[row] = state.rowMax[row] - shift
            right[row] = other.rowMax[row] - shift
            state.rowMax[row] = highest
        }
        c.pointee.exp2(factors, factors, Int64(2 * rows))
        for row in 0..<rows {
            state.rowSum[row] = state.rowSum[row] * left[row] + other.rowSum[row] * right[row]
        }
        c.pointee.merge_rows(
            state.output, other.output, Int64(state.outputStride), Int64(rows), Int64(valueDim), left, right)
    }

    /// Divides one accumulated row by its denominator and stores it in the output's element type.
    package func finish(
        _ target: UnsafeMutableRawPointer, code: Int32, row: UnsafePointer<Float>, valueDim: Int, rowSum: Float
    ) {
        c.pointee.finish_row(target, code, row, Int64(valueDim), rowSum)
    }

    /// Converts a run of elements to Float.
    package func toFloat(_ target: UnsafeMutablePointer<Float>, from source: UnsafeRawPointer, code: Int32, count: Int)
    {
        c.pointee.to_float(target, source, code, Int64(count))
    }

    /// 2 to the power of each number.
    package func exp2(_ target: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>, count: Int) {
        c.pointee.exp2(target, source, Int64(count))
    }
}
