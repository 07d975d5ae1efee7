import AttentionCore
package import TensorCore
package import TransformerBlocks

/// The extents of a cache of keys and values.
package struct CacheShape: Sendable, Hashable {
    /// The attention layers.
    package let layers: [AttentionLayerShape]
    /// Keys of a page.
    package let pageSize: Int
    /// How keys and values are stored; INT8 ones with an F32 scale for each key and head.
    package let dtype: DType

    /// A shape.
    package init(layers: [AttentionLayerShape], pageSize: Int, dtype: DType) {
        self.layers = layers
        self.pageSize = pageSize
        self.dtype = dtype
    }

    /// The last keys that a token sees in any layer, its own among them; `nil` where a layer sees all.
    ///
    /// Layers share a table of pages, so only what all of them hide can be given back.
    package var window: Int? {
        let windows = layers.compactMap(\.window)
        return windows.count == layers.count ? windows.max() : nil
    }

    /// Whether rows have scales beside them.
    var hasScales: Bool { dtype == .int8 }

    /// The type of the queries that attend to the rows.
    var queryDType: DType { hasScales ? .float32 : dtype }

    /// Bytes of a page: keys and values of all layers, with their scales.
    package var pageBytes: Int {
        let scaleBytes = hasScales ? DType.float32.byteWidth : 0
        return layers.reduce(0) {
            $0 + 2 * pageSize * $1.kvHeads * ($1.headDim * dtype.byteWidth + scaleBytes)
        }
    }
}
