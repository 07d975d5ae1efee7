import AttentionCore
package import TensorCore
package import TransformerBlocks

/// The extents of a cache of keys and values.
package struct CacheShape: Sendable, Hashable {
    /// The attention layers.
    package let layers: [AttentionLayerShape]
    /// Keys of a page.
    package let pageSize: Int
    /// How keys and values are stored.
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

    /// Bytes of one layer's keys, or values, of a page.
    func partBytes(_ layer: AttentionLayerShape) -> Int {
        pageSize * layer.kvHeads * layer.headDim * dtype.byteWidth
    }

    /// Bytes of a page: keys and values of all layers.
    package var pageBytes: Int { layers.reduce(0) { $0 + 2 * partBytes($1) } }
}
