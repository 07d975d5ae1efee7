/// Random numbers by counting (SplitMix64, Steele, Lea and Flood, 2014): number `i` of a seed is a function of both, so
/// any order and any thread gives the same numbers.
public struct CounterRandom: RandomNumberGenerator, Sendable {
    /// The stream.
    public let seed: UInt64
    private var counter: UInt64 = 0

    /// The stream of a seed, from its start.
    public init(seed: UInt64) { self.seed = seed }

    /// Number `index` of the stream of `seed`.
    public static func value(seed: UInt64, index: UInt64) -> UInt64 {
        var z = seed &+ (index &+ 1) &* 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A number from -1 to below 1 with 24 random bits: exact in Float.
    public static func uniform(seed: UInt64, index: UInt64) -> Float {
        Float(value(seed: seed, index: index) >> 40) / Float(1 << 23) - 1
    }

    /// The next number of the stream.
    public mutating func next() -> UInt64 {
        defer { counter &+= 1 }
        return Self.value(seed: seed, index: counter)
    }
}

extension Tensor {
    /// Numbers from `-amplitude` to `amplitude`; element `i` in row-major order is number `i` of the seed's stream.
    public static func random(
        uniform shape: Shape, seed: UInt64, amplitude: Float = 1, dtype: DType = .float32
    ) -> Tensor {
        let result = Tensor(zeros: shape)
        let target = result.freshMutableAddress.assumingMemoryBound(to: Float.self)
        for index in 0..<shape.count {
            target[index] = CounterRandom.uniform(seed: seed, index: UInt64(index)) * amplitude
        }
        return result.converted(to: dtype)
    }
}
