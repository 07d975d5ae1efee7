import Kernels

extension LargeKernel {
    private var mapBytes: Int { 4 * depthwise.rows * depthwise.columns * depthwise.channels }

    /// Bytes of a product with channels as weights: packed, with the rows in tiles.
    private func productBytes(rows: Int, inputs: Int, outputs: Int, _ context: ComputeContext) -> Int {
        PackedMatrix.bytes(outputs: outputs, inputs: inputs, context: context)
            + DenseLayers.linearBytes(rows: rows, inputs: inputs, context: context)
    }

    /// Bytes of ``stages(_:context:)``: the input as a matrix, three maps, and what the last product takes.
    func workingBytes(_ context: ComputeContext) -> Int {
        let channels = depthwise.channels
        return 4 * mapBytes
            + max(
                productBytes(rows: positions, inputs: channels, outputs: channels, context),
                2 * 4 * 49 * channels - mapBytes)
    }

    /// Bytes of ``backward(_:_:sums:context:)``: input and gradient as matrices, and eight maps.
    func workingBytesOfGradients(_ context: ComputeContext) -> Int {
        let channels = depthwise.channels
        let through = productBytes(rows: positions, inputs: channels, outputs: channels, context)
        let part = min(128, positions)
        let weights =
            productBytes(rows: channels, inputs: part, outputs: channels, context)
            + 4 * (channels * channels + part * channels)
        return max(8 * mapBytes + through, 10 * mapBytes + weights)
    }
}
