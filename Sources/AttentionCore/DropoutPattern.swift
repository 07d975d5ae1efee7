import TensorCore

/// Which attention weights are dropped: a function of seed, sequence, head, query and key, so that it depends neither on
/// tiles nor on threads, and forward and backward agree.
///
/// A row has a 64-bit key from ``TensorCore/CounterRandom``; a cell is the finaliser of MurmurHash3 (Appleby, 2011) over
/// the row's key and the key's place, which vectorises. A kept weight is divided by the probability of keeping it.
package struct DropoutPattern: Sendable, Hashable {
    /// Weights whose number is below this are dropped.
    package let threshold: UInt32
    /// What kept weights are multiplied by.
    package let keepScale: Double
    private let seed: UInt64

    /// The pattern of a problem's options, or `nil` without dropout.
    package init?(_ options: AttentionOptions) {
        guard options.dropout > 0 else { return nil }
        threshold = UInt32(min(Double(UInt32.max), (Double(options.dropout) * 4_294_967_296).rounded()))
        keepScale = 1 / (1 - Double(options.dropout))
        seed = options.seed
    }

    /// The two halves of a row's key.
    package func rowKey(batch: Int, head: Int, query: Int) -> (low: UInt32, high: UInt32) {
        let sequence = CounterRandom.value(seed: seed, index: UInt64(batch))
        let row = CounterRandom.value(
            seed: CounterRandom.value(seed: sequence, index: UInt64(head)), index: UInt64(query))
        return (UInt32(truncatingIfNeeded: row), UInt32(truncatingIfNeeded: row >> 32))
    }

    /// Whether a row keeps its weight on a key.
    package func keeps(_ rowKey: (low: UInt32, high: UInt32), key: Int) -> Bool {
        var x = (UInt32(truncatingIfNeeded: key) &* 0x9E37_79B1) ^ rowKey.low
        x = (x ^ (x >> 16)) &* 0x85EB_CA6B
        x ^= rowKey.high
        x = (x ^ (x >> 13)) &* 0xC2B2_AE35
        x ^= x >> 16
        return x >= threshold
    }
}
