/// The times of one operator on one case.
public struct Measurement: Sendable, Hashable, Codable {
    /// Seconds of one call: the middle sample.
    public let median: Double
    /// The quickest sample.
    public let min: Double
    /// The slowest sample.
    public let max: Double
    /// The distance between the quartiles, as a part of the median: how far a repeat may differ.
    public let spread: Double
    /// Samples taken.
    public let samples: Int
    /// Calls in each sample; short calls are timed together, because clocks cost too.
    public let callsPerSample: Int

    /// Statistics of seconds per call.
    ///
    /// Cost: O(n log n).
    /// - Returns: `nil` when there are no samples.
    public init?(samples: [Double], callsPerSample: Int = 1) {
        guard !samples.isEmpty else { return nil }
        let sorted = samples.sorted()
        median = Self.quantile(0.5, sorted)
        min = sorted[0]
        max = sorted[sorted.count - 1]
        let range = Self.quantile(0.75, sorted) - Self.quantile(0.25, sorted)
        spread = median > 0 ? range / median : 0
        self.samples = sorted.count
        self.callsPerSample = callsPerSample
    }

    /// The value below which a part of sorted samples lies, interpolated between neighbours (Hyndman and Fan, type 7).
    package static func quantile(_ part: Double, _ sorted: [Double]) -> Double {
        let place = part * Double(sorted.count - 1)
        let below = Int(place)
        let above = Swift.min(below + 1, sorted.count - 1)
        return sorted[below] + (place - Double(below)) * (sorted[above] - sorted[below])
    }
}
