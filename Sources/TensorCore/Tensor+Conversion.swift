extension Tensor {
    /// The same numbers in another element type, dense.
    ///
    /// Cost: O(count); nothing is copied when the type is the same.
    ///
    /// Floating-point results are rounded to nearest, ties to even; integers are truncated towards zero and saturate,
    /// NaN becomes 0; Bool is 0 or 1, and any other number but 0 is true.
    public func converted(to target: DType) -> Tensor {
        if target == dtype { return contiguous() }
        let dense = contiguous()
        let result = Tensor(zeros: shape, dtype: target)
        let source = dense.baseAddress
        let destination = result.freshMutableAddress
        withExtendedLifetime(dense) {
            // Float is the common middle; only Double and wide integers need a wider one.
            if dtype.fitsFloat && target.fitsFloat {
                for index in 0..<count { target.store(dtype.float(source, index), destination, index) }
            } else {
                for index in 0..<count { target.store(dtype.double(source, index), destination, index) }
            }
        }
        return result
    }

    /// The elements in row-major order as Float.
    ///
    /// Cost: O(count).
    public func floats() -> [Float] {
        let dense = converted(to: .float32)
        return withExtendedLifetime(dense) {
            Array(UnsafeBufferPointer(start: dense.baseAddress.assumingMemoryBound(to: Float.self), count: count))
        }
    }

    /// The elements in row-major order as Double.
    ///
    /// Cost: O(count).
    public func doubles() -> [Double] {
        let dense = converted(to: .float64)
        return withExtendedLifetime(dense) {
            Array(UnsafeBufferPointer(start: dense.baseAddress.assumingMemoryBound(to: Double.self), count: count))
        }
    }

    /// The elements of an integer tensor in row-major order.
    ///
    /// Cost: O(count).
    /// - Throws: ``TensorError/dtypeMismatch(expected:actual:)`` for floating-point elements.
    public func integers() throws(TensorError) -> [Int] {
        guard !dtype.isFloatingPoint else { throw .dtypeMismatch(expected: .int64, actual: dtype) }
        let dense = converted(to: .int64)
        return withExtendedLifetime(dense) {
            UnsafeBufferPointer(start: dense.baseAddress.assumingMemoryBound(to: Int64.self), count: count).map(
                Int.init)
        }
    }

    /// Whether shape, element type and every bit are the same.
    ///
    /// Cost: O(count).
    public func bitwiseEquals(_ other: Tensor) -> Bool {
        guard dtype == other.dtype, shape == other.shape else { return false }
        let left = contiguous()
        let right = other.contiguous()
        return withExtendedLifetime((left, right)) {
            UnsafeRawBufferPointer(start: left.baseAddress, count: count * dtype.byteWidth)
                .elementsEqual(UnsafeRawBufferPointer(start: right.baseAddress, count: count * dtype.byteWidth))
        }
    }

    /// The largest absolute difference; cells that are equal (infinities) or both NaN count as 0, and a NaN in one
    /// alone as infinity.
    ///
    /// Cost: O(count).
    /// - Throws: ``TensorError/shapeMismatch(from:to:)``.
    public func maxAbsoluteDifference(_ other: Tensor) throws(TensorError) -> Double {
        guard shape == other.shape else { throw .shapeMismatch(from: shape, to: other.shape) }
        return zip(doubles(), other.doubles()).reduce(0) { largest, pair in
            if pair.0 == pair.1 || (pair.0.isNaN && pair.1.isNaN) { return largest }
            let difference = abs(pair.0 - pair.1)
            return difference.isNaN ? .infinity : Swift.max(largest, difference)
        }
    }
}

extension DType {
    /// Whether every value is exact in Float.
    fileprivate var fitsFloat: Bool {
        switch self {
        case .float32, .float16, .bfloat16, .int16, .uint16, .int8, .uint8, .bool: true
        case .float64, .int64, .int32, .uint64, .uint32: false
        }
    }

    fileprivate func float(_ base: UnsafeRawPointer, _ index: Int) -> Float {
        switch self {
        case .float32: base.load(fromByteOffset: index * 4, as: Float.self)
        case .float16: HalfPrecision.float(base.load(fromByteOffset: index * 2, as: UInt16.self))
        case .bfloat16: Float(bitPattern: UInt32(base.load(fromByteOffset: index * 2, as: UInt16.self)) << 16)
        default: Float(double(base, index))
        }
    }

    fileprivate func double(_ base: UnsafeRawPointer, _ index: Int) -> Double {
        switch self {
        case .float64: base.load(fromByteOffset: index * 8, as: Double.self)
        case .float32, .float16, .bfloat16: Double(float(base, index))
        case .int64: Double(base.load(fromByteOffset: index * 8, as: Int64.self))
        case .uint64: Double(base.load(fromByteOffset: index * 8, as: UInt64.self))
        case .int32: Double(base.load(fromByteOffset: index * 4, as: Int32.self))
        case .uint32: Double(base.load(fromByteOffset: index * 4, as: UInt32.self))
        case .int16: Double(base.load(fromByteOffset: index * 2, as: Int16.self))
        case .uint16: Double(base.load(fromByteOffset: index * 2, as: UInt16.self))
        case .int8: Double(base.load(fromByteOffset: index, as: Int8.self))
        case .uint8: Double(base.load(fromByteOffset: index, as: UInt8.self))
        case .bool: base.load(fromByteOffset: index, as: UInt8.self) == 0 ? 0 : 1
        }
    }

    fileprivate func store(_ value: Float, _ base: UnsafeMutableRawPointer, _ index: Int) {
        switch self {
        case .float32: base.storeBytes(of: value, toByteOffset: index * 4, as: Float.self)
        case .float16: base.storeBytes(of: HalfPrecision.bits(value), toByteOffset: index * 2, as: UInt16.self)
        case .bfloat16: base.storeBytes(of: HalfPrecision.bfloatBits(value), toByteOffset: index * 2, as: UInt16.self)
        default: store(Double(value), base, index)
        }
    }

    fileprivate func store(_ value: Double, _ base: UnsafeMutableRawPointer, _ index: Int) {
        switch self {
        case .float64: base.storeBytes(of: value, toByteOffset: index * 8, as: Double.self)
        case .float32: base.storeBytes(of: Float(value), toByteOffset: index * 4, as: Float.self)
        case .float16:
            base.storeBytes(
                of: HalfPrecision.bits(HalfPrecision.oddFloat(value)), toByteOffset: index * 2, as: UInt16.self)
        case .bfloat16:
            base.storeBytes(
                of: HalfPrecision.bfloatBits(HalfPrecision.oddFloat(value)), toByteOffset: index * 2, as: UInt16.self)
        case .int64: base.storeBytes(of: saturating(value), toByteOffset: index * 8, as: Int64.self)
        case .uint64: base.storeBytes(of: saturating(value), toByteOffset: index * 8, as: UInt64.self)
        case .int32: base.storeBytes(of: saturating(value), toByteOffset: index * 4, as: Int32.self)
        case .uint32: base.storeBytes(of: saturating(value), toByteOffset: index * 4, as: UInt32.self)
        case .int16: base.storeBytes(of: saturating(value), toByteOffset: index * 2, as: Int16.self)
        case .uint16: base.storeBytes(of: saturating(value), toByteOffset: index * 2, as: UInt16.self)
        case .int8: base.storeBytes(of: saturating(value), toByteOffset: index, as: Int8.self)
        case .uint8: base.storeBytes(of: saturating(value), toByteOffset: index, as: UInt8.self)
        case .bool: base.storeBytes(of: value == 0 ? 0 : 1, toByteOffset: index, as: UInt8.self)
        }
    }
}

/// Truncates towards zero and clamps to the type's range; NaN becomes 0.
private func saturating<Integer: FixedWidthInteger>(_ value: Double) -> Integer {
    if value.isNaN { return 0 }
    if value >= Double(Integer.max) { return .max }
    if value <= Double(Integer.min) { return .min }
    return Integer(value)
}

/// binary16 and bfloat16 by integer arithmetic: Swift's own Float16 does not exist on every platform.
package enum HalfPrecision {
    /// binary16 to binary32, exact.
    package static func float(_ bits: UInt16) -> Float {
        let rest = UInt32(bits & 0x7fff) << 13
        let sign = UInt32(bits & 0x8000) << 16
        if rest >= 0x7c00 << 13 { return Float(bitPattern: rest | 0x7f80_0000 | sign) }
        // The multiplication moves the exponent's bias and normalises subnormals.
        return Float(bitPattern: (Float(bitPattern: rest) * 0x1p112).bitPattern | sign)
    }

    /// binary32 to binary16, to nearest, ties to even.
    package static func bits(_ value: Float) -> UInt16 {
        let sign = UInt16(truncatingIfNeeded: value.bitPattern >> 16) & 0x8000
        let rest = value.bitPattern & 0x7fff_ffff
        if rest > 0x7f80_0000 { return sign | 0x7e00 | UInt16(truncatingIfNeeded: rest >> 13) & 0x3ff }
        if rest >= 0x477f_f000 { return sign | 0x7c00 }
        if rest < 0x3880_0000 {
            // Adding 1/2 puts the last place of a subnormal half at the last place of a Float: the hardware rounds.
            let rounded = (Float(bitPattern: rest) + 0.5).bitPattern - 0x3f00_0000
            return sign | UInt16(truncatingIfNeeded: rounded)
        }
        return sign | UInt16(truncatingIfNeeded: (rest - 0x3800_0000 + 0xfff + (rest >> 13 & 1)) >> 13)
    }

    /// binary32 to bfloat16, to nearest, ties to even.
    package static func bfloatBits(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        if bits & 0x7fff_ffff > 0x7f80_0000 { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits + 0x7fff + (bits >> 16 & 1)) >> 16)
    }

    /// Double to Float with the last bit made odd when inexact, so that a second rounding cannot go wrong.
    fileprivate static func oddFloat(_ value: Double) -> Float {
        let nearest = Float(value)
        guard nearest.isFinite, Double(nearest) != value else { return nearest }
        let truncated = abs(Double(nearest)) > abs(value) ? Float(bitPattern: nearest.bitPattern - 1) : nearest
        return Float(bitPattern: truncated.bitPattern | 1)
    }
}
