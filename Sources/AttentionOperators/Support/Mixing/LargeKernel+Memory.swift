import Kernels

extension LargeKernel {
    private var mapBytes: Int { 4 * depthwise.rows * depthwise.columns * depthwise.channels }

    /// Bytes of a product with channels as weights: packed, with the rows in tiles.
    private func productBytes(inputs: Int, outputs: Int, _ context: ComputeContext) -> Int {
        PackedMatrix.bytes(outputs: outputs, inputs: inputs, context: context)
            + DenseLayers.linearBytes(inputs: inputs, context: context)
    }

    /// Bytes of ``stages(_:context:)``: the input as a matrix, three maps, and what the last product takes.
    func workingBytes(_ context: ComputeContext) -> Int {
        let channels = depthwise.channels
        return 4 * mapBytes
            + max(productBytes(inputs: channels, outputs: channels, context), 2 * 4 * 49 * channels - mapBytes)
    }

    /// Bytes of ``backward(_:_:sums:context:)``: input and gradient as matrices, and eight maps.
    func workingBytesOfGradients(_ context: ComputeContext) -> Int {
        let channels = depthwise.channels
        let through = productBytes(inputs: channels, outputs: channels, context) + 4 * channels * channels
        let rows = min(128, depthwise.rows * depthwise.columns)
        let weights =
            productBytes(inputs: rows, outputs: channels, context)
            + 4 * (channels * channels + 2 * rows * channels)
        return max(8 * mapBytes + through, 10 * mapBytes + weights)
    }
}
