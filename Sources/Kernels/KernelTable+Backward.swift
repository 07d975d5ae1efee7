import CKernels

/// The operands of one block of query rows in a backward step.
package struct BackwardRows {
    /// Query rows.
    package var count: Int
    /// Queries times scale · log2(e), [row tile][headDim][tile rows].
    package var queryTiles: UnsafeMutablePointer<Float>
    /// Gradients of the output, [row tile][valueDim][tile rows].
    package var gradientTiles: UnsafeMutablePointer<Float>
    /// Queries, [headDim panel][panelRows][panel width].
    package var queryPanels: UnsafeMutablePointer<Float>
    /// Gradients of the output, [valueDim panel][panelRows][panel width].
    package var gradientPanels: UnsafeMutablePointer<Float>
    /// Rows that each panel has room for.
    package var panelRows: Int
    /// The log-sum-exp of each row, base 2; +infinity for a row that sees no key.
    package var logSumExp: UnsafeMutablePointer<Float>
    /// `rowsum(dO · O)` minus the derivative by the log-sum-exp.
    package var offset: UnsafeMutablePointer<Float>
    /// Whether queries and gradients are finite.
    package var isFinite = true

    /// Operands of no rows.
    package init(
        queryTiles: UnsafeMutablePointer<Float>, gradientTiles: UnsafeMutablePointer<Float>,
        queryPanels: UnsafeMutablePointer<Float>, gradientPanels: UnsafeMutablePointer<Float>, panelRows: Int,
        logSumExp: UnsafeMutablePointer<Float>, offset: UnsafeMutablePointer<Float>
    ) {
        count = 0
        self.queryTiles = queryTiles
        self.gradientTiles = gradientTiles
        self.queryPanels = queryPanels
        self.gradientPanels = gradientPanels
        self.panelRows = panelRows
        self.logSumExp = logSumExp
        self.offset = offset
    }
}

/// The operands of one block of keys in a backward step, and where its gradients are summed.
package struct BackwardKeys {
    /// Keys.
    package var count: Int
    /// Keys, [key panel][headDim][panel width].
    package var keyPanels: UnsafeMutablePointer<Float>
    /// Values, [key panel][valueDim][panel width].
    package var valuePanels: UnsafeMutablePointer<Float>
    /// Keys, [headDim panel][panelRows][panel width].
    package var keyRows: UnsafeMutablePointer<Float>
    /// Keys that each panel of ``keyRows`` has room for.
    package var panelRows: Int
    /// [keys][keyStride], padded to whole panels.
    package var keyGradient: UnsafeMutablePointer<Float>
    /// Floats between two rows of ``keyGradient``.
    package var keyStride: Int
    /// [keys][valueStride], padded to whole panels.
    package var valueGradient: UnsafeMutablePointer<Float>
    /// Floats between two rows of ``valueGradient``.
    package var valueStride: Int
    /// Whether keys are finite.
    package var isFinite = true

    /// Operands of no keys.
    package init(
        keyPanels: UnsafeMutablePointer<Float>, valuePanels: UnsafeMutablePointer<Float>,
        keyRows: UnsafeMutablePointer<Float>, panelRows: Int, keyGradient: UnsafeMutablePointer<Float>,
        keyStride: Int, valueGradient: UnsafeMutablePointer<Float>, valueStride: Int
    ) {
        count = 0
        self.keyPanels = keyPanels
        self.valuePanels = valuePanels
        self.keyRows = keyRows
        self.panelRows = panelRows
        self.keyGradient = keyGradient
        self.keyStride = keyStride
        self.valueGradient = valueGradient
        self.valueStride = valueStride
    }
}

/// What one backward step has beside its rows and keys.
package struct BackwardStep {
    /// The extent of a query or key head.
    package var headDim: Int
    /// The extent of a value head.
    package var valueDim: Int
    /// The factor on query · key.
    package var scale: Float
    /// Scratch for weights, [rows][stride].
    package var weights: UnsafeMutablePointer<Float>
    /// Scratch for the gradients of scores, [rows][stride].
    package var scores: UnsafeMutablePointer<Float>
    /// Floats between two rows of scratch: at least the keys, padded to whole panels.
    package var stride: Int
    /// [rows][queryStride], padded to whole panels.
    package var queryGradient: UnsafeMutablePointer<Float>
    /// Floats between two rows of ``queryGradient``.
    package var queryStride: Int
    /// Each row's gradient of the bias at the block's first key.
    package var biasGradient: UnsafePointer<UnsafeMutablePointer<Float>?>?
    /// 1, or 0 when all keys of a row share one number.
    package var biasKeyStride = 1
    /// What the forward step applied.
    package var modifiers = ScoreModifiers()
    /// The derivative of the modifiers' function.
    package var slope:
        (@convention(c) (UnsafeMutableRawPointer?, Int64, Int64, Int64, UnsafeMutablePointer<Float>?) -> Void)?
    /// Whether hidden cells must be passed over one by one: an operand is not finite.
    package var isGuarded = false

    /// A step without modifiers.
    package init(
        headDim: Int, valueDim: Int, scale: Float, weights: UnsafeMutablePointer<Float>,
        scores: UnsafeMutablePointer<Float>, stride: Int, queryGradient: UnsafeMutablePointer<Float>, queryStride: Int
    ) {
        self.headDim = headDim
        self.valueDim = valueDim
        self.scale = scale
        self.weights = weights
        self.scores = scores
        self.stride = stride
        self.queryGradient = queryGradient
        self.queryStride = queryStride
    }
}

extension KernelTable {
    /// Adds the gradients of one block of rows against one block of keys (FlashAttention-2, algorithm 2, lines 11 to 17).
    package func differentiate(_ rows: BackwardRows, _ keys: BackwardKeys, _ step: BackwardStep) {
        var arguments = zoo_backward_args(
            rows: Int64(rows.count), keys: Int64(keys.count), head_dim: Int64(step.headDim),
            value_dim: Int64(step.valueDim), query_tiles: rows.queryTiles, gradient_tiles: rows.gradientTiles,
            query_panels: rows.queryPanels, gradient_panels: rows.gradientPanels,
            row_panel_rows: Int64(rows.panelRows), key_panels: keys.keyPanels, value_panels: keys.valuePanels,
            key_rows: keys.keyRows, key_panel_rows: Int64(keys.panelRows), log_sum_exp: rows.logSumExp,
            offset: rows.offset, scale: step.scale, weights: step.weights, scores: step.scores,
            stride: Int64(step.stride), query_gradient: step.queryGradient,
            query_gradient_stride: Int64(step.queryStride), key_gradient: keys.keyGradient,
            key_gradient_stride: Int64(keys.keyStride), value_gradient: keys.valueGradient,
            value_gradient_stride: Int64(keys.valueStride), bias_gradient: step.biasGradient,
            bias_key_stride: Int64(step.biasKeyStride), modifiers: step.modifiers.c, slope: step.slope,
            guarded: step.isGuarded ? 1 : 0)
        c.pointee.differentiate_block(&arguments)
    }

    /// The inner product of two rows of any element types.
    package func dot(
        _ left: UnsafeRawPointer, code leftCode: Int32, _ right: UnsafeRawPointer, code rightCode: Int32, count: Int
    ) -> Float {
        c.pointee.dot_rows(left, leftCode, right, rightCode, Int64(count))
    }

    /// The sum of two rows.
    package func add(
        _ target: UnsafeMutablePointer<Float>, _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, count: Int
    ) {
        c.pointee.add(target, left, right, Int64(count))
    }
}
