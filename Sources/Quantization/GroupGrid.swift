package import TensorCore

/// The numbers that a group of weights may take: `scale · (code − zero)` for codes from 0 to the highest.
struct GroupGrid: Sendable {
    let scale: Float
    let zero: Int32
    let highest: Int32

    /// The code nearest to a weight; halves go to the even number of steps.
    @inline(__always)
    func code(_ weight: Float) -> UInt8 {
        // Codes lie within 255 of zero, so nothing is lost at 1024, and below 2^22 adding 1.5 · 2^23 rounds to nearest and
        // leaves the whole number in the low bits.
        let steps = min(max(weight / scale, -1024), 1024)
        let rounded = Int32(bitPattern: (steps + 0x1.8p23).bitPattern) &- 0x4b40_0000
        return UInt8(truncatingIfNeeded: min(max(rounded &+ zero, 0), highest))
    }

    /// The weight of a code, as kernels compute it.
    @inline(__always)
    func value(_ code: UInt8) -> Float { scale * Float(Int32(code) &- zero) }

    /// The nearest weight that the grid holds.
    @inline(__always)
    func rounded(_ weight: Float) -> Float { value(code(weight)) }
}

extension DType {
    /// A positive scale as this element type holds it; the smallest positive number in place of 0.
    package func scale(_ value: Float) -> Float {
        switch self {
        case .float16: max(HalfPrecision.float(HalfPrecision.bits(value)), 0x1p-24)
        case .bfloat16: max(Float(bitPattern: UInt32(HalfPrecision.bfloatBits(value)) << 16), 0x1p-133)
        default: max(value, .leastNonzeroMagnitude)
        }
    }
}
