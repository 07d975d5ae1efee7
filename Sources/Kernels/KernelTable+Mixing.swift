import CKernels

extension ZooLimits {
    /// Transforms that ``KernelTable/transform(_:_:_:_:cosine:sine:length:)`` runs side by side.
    package static let transformLanes = Int(ZOO_FFT_LANES)
}

extension KernelTable {
    /// target += left · right.
    package func multiplyAdd(
        _ target: UnsafeMutablePointer<Float>, _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, count: Int
    ) {
        c.pointee.multiply_add(target, left, right, Int64(count))
    }

    /// target += source · factor.
    package func scaledAdd(
        _ target: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>, by factor: Float, count: Int
    ) {
        c.pointee.scaled_add(target, source, factor, Int64(count))
    }

    /// The sum of left · right.
    package func dot(_ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, count: Int) -> Float {
        c.pointee.dot(left, right, Int64(count))
    }

    /// Fourier transforms of ``ZooLimits/transformLanes`` lanes, each `[length]` of a power of two.
    ///
    /// - Returns: whether the result lies in the other pair.
    package func transform(
        _ real: UnsafeMutablePointer<Float>, _ imaginary: UnsafeMutablePointer<Float>,
        _ otherReal: UnsafeMutablePointer<Float>, _ otherImaginary: UnsafeMutablePointer<Float>,
        cosine: UnsafePointer<Float>, sine: UnsafePointer<Float>, length: Int
    ) -> Bool {
        c.pointee.fft_lanes(real, imaginary, otherReal, otherImaginary, cosine, sine, Int64(length)) != 0
    }

    /// One tile of rows times one panel of columns plus a bias: c = a · b + bias.
    ///
    /// - Parameters:
    ///   - tile: from ``packQuery(_:rows:code:stride:count:headDim:scale:)``.
    ///   - panel: one panel of ``packKeys(_:rows:code:stride:count:headDim:)`` or of packed values.
    ///   - bias: a whole panel.
    package func linearTile(
        _ result: UnsafeMutablePointer<Float>, stride: Int, tile: UnsafePointer<Float>, panel: UnsafePointer<Float>,
        bias: UnsafePointer<Float>, rows: Int, inner: Int, columns: Int
    ) {
        c.pointee.linear_tile(result, Int64(stride), tile, panel, bias, Int64(rows), Int64(inner), Int64(columns))
    }
}
