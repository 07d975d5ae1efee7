import CKernels

/// A block of keys minus their mean, in bytes, each key with a scale: what `pack_key_bytes` writes.
package struct ByteKeys {
    /// [key panel][headDim / 4, rounded up][panel width][4].
    package var bytes: UnsafeMutablePointer<Int8>
    /// One for each key.
    package var scales: UnsafeMutablePointer<Float>
    /// -128 times the sum of each key's bytes.
    package var corrections: UnsafeMutablePointer<Int32>
    /// The block's mean key, padded to whole vectors.
    package var mean: UnsafeMutablePointer<Float>

    /// Memory for a block.
    package init(
        bytes: UnsafeMutablePointer<Int8>, scales: UnsafeMutablePointer<Float>,
        corrections: UnsafeMutablePointer<Int32>, mean: UnsafeMutablePointer<Float>
    ) {
        self.bytes = bytes
        self.scales = scales
        self.corrections = corrections
        self.mean = mean
    }

    var c: zoo_byte_keys { zoo_byte_keys(bytes: bytes, scales: scales, corrections: corrections, mean: mean) }
}

/// A block of values in bytes around the middle of each channel: what `pack_value_bytes` writes.
package struct ByteValues {
    /// [valueDim panel][keys / 4][panel width][4].
    package var bytes: UnsafeMutablePointer<Int8>
    /// One for each channel, padded to whole panels.
    package var scales: UnsafeMutablePointer<Float>
    /// Likewise.
    package var middles: UnsafeMutablePointer<Float>

    /// Memory for a block.
    package init(
        bytes: UnsafeMutablePointer<Int8>, scales: UnsafeMutablePointer<Float>, middles: UnsafeMutablePointer<Float>
    ) {
        self.bytes = bytes
        self.scales = scales
        self.middles = middles
    }

    var c: zoo_byte_values { zoo_byte_values(bytes: bytes, scales: scales, middles: middles) }
}

/// Packed queries as Floats and as bytes.
package struct ByteQueries {
    /// From ``KernelTable/packQuery(_:rows:code:stride:count:headDim:scale:)``.
    package var tiles: UnsafePointer<Float>
    /// [row tile][headDim / 4, rounded up][tile rows][4], 128 standing for zero.
    package var bytes: UnsafeMutablePointer<UInt8>
    /// One for each row, padded to whole tiles; not finite when the row is not.
    package var scales: UnsafeMutablePointer<Float>

    /// Memory for the bytes of packed rows.
    package init(
        tiles: UnsafePointer<Float>, bytes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutablePointer<Float>
    ) {
        self.tiles = tiles
        self.bytes = bytes
        self.scales = scales
    }
}

extension KernelTable {
    /// The products of one row of unsigned bytes with the signed bytes of a panel [groups][panel width][4].
    ///
    /// `sums` takes one number for each column of the panel, `row` holds four bytes for each group. Integers: the same
    /// on every table.
    package func dotBytes(
        _ sums: UnsafeMutablePointer<Int32>, row: UnsafePointer<UInt8>, panel: UnsafePointer<Int8>, groups: Int
    ) {
        c.pointee.dot_bytes(sums, row, panel, Int64(groups))
    }

    /// Rounds the heads of a row to bytes, each with a scale: `max|cell| / 127`.
    ///
    /// A head that is not finite gets a scale of NaN. A head's bytes depend on that head alone, and are the same on every
    /// table.
    package func roundHeads(
        _ bytes: UnsafeMutablePointer<Int8>, scales: UnsafeMutablePointer<Float>, row: UnsafePointer<Float>, heads: Int,
        headDim: Int
    ) {
        c.pointee.round_heads(bytes, scales, row, Int64(heads), Int64(headDim))
    }

    /// Rounds packed query rows to bytes, each row with its scale.
    package func packQueryBytes(_ queries: ByteQueries, rows: Int, headDim: Int) {
        c.pointee.pack_query_bytes(queries.bytes, queries.scales, queries.tiles, Int64(rows), Int64(headDim))
    }

    /// Rounds a block of keys, minus their mean, to bytes; returns whether bytes can stand for all of them.
    ///
    /// - Parameter count: keys, a multiple of ``panelWidth``.
    package func packKeyBytes(
        _ keys: ByteKeys, rows: UnsafeRawPointer, code: Int32, stride: Int, count: Int, headDim: Int
    ) -> Bool {
        var keys = keys.c
        return c.pointee.pack_key_bytes(&keys, rows, code, Int64(stride), Int64(count), Int64(headDim)) != 0
    }

    /// Rounds a block of values to bytes around the middle of each channel; returns whether bytes can stand for all.
    ///
    /// - Parameter count: keys, a multiple of ``panelWidth``.
    package func packValueBytes(
        _ values: ByteValues, rows: UnsafeRawPointer, code: Int32, stride: Int, count: Int, valueDim: Int
    ) -> Bool {
        var values = values.c
        return c.pointee.pack_value_bytes(&values, rows, code, Int64(stride), Int64(count), Int64(valueDim)) != 0
    }

    /// One step of online softmax with both products in bytes.
    ///
    /// - Parameter takes: one byte for each row; rows with 0 keep their state, the others must see the whole block.
    package func attendBytes(
        rows: Int, headDim: Int, valueDim: Int, queries: ByteQueries, keys: ByteKeys, values: ByteValues, count: Int,
        takes: UnsafePointer<UInt8>, state: RowState, scores: UnsafeMutablePointer<Float>, modifiers: ScoreModifiers
    ) {
        var arguments = zoo_byte_args(
            rows: Int64(rows), count: Int64(count), head_dim: Int64(headDim), value_dim: Int64(valueDim),
            query_tiles: queries.tiles, query_bytes: queries.bytes, query_scales: queries.scales, keys: keys.c,
            values: values.c, takes: takes, output: state.output, output_stride: Int64(state.outputStride),
            row_max: state.rowMax, row_sum: state.rowSum, scores: scores, modifiers: modifiers.c)
        c.pointee.attend_bytes(&arguments)
    }
}
