import Foundation

/// How the grid of a group is found from its weights.
public enum GridFit: Sendable, Hashable {
    /// From the smallest weight to the largest, and 0 within.
    case range
    /// The range, or the part of it with the least sum of |rounded − weight|^power.
    ///
    /// The parts are `1 − i / steps` of the range, for i below `largestShrink · steps`. Cost: as many roundings of the
    /// group.
    case leastError(steps: Int = 100, largestShrink: Double = 0.8, power: Double = 2.4)

    /// - Throws: ``QuantizationError`` that names the field.
    func validate(_ scheme: QuantizationScheme) throws(QuantizationError) {
        guard case .leastError(let steps, let shrink, let power) = self else { return }
        try QuantizationError.check(
            !scheme.isTernary, "fit", "range for ternary codes, whose scale has the least squared error anyway",
            "leastError")
        try QuantizationError.check((1...10_000).contains(steps), "fit.steps", "from 1 to 10000", "\(steps)")
        try QuantizationError.check(
            shrink >= 0 && shrink < 1, "fit.largestShrink", "from 0 to below 1", "\(shrink)")
        try QuantizationError.check(power > 0 && power.isFinite, "fit.power", "a number above 0", "\(power)")
    }
}

/// Finds grids.
struct GridFitter: Sendable {
    let scheme: QuantizationScheme
    let fit: GridFit

    /// The grid of a group of finite weights; its scale is infinite where the scale's element type cannot hold it.
    func grid(_ weights: UnsafeBufferPointer<Float>) -> GroupGrid {
        var low: Float = 0
        var high: Float = 0
        for weight in weights {
            low = min(low, weight)
            high = max(high, weight)
        }
        if low == 0 && high == 0 {
            return GroupGrid(scale: 1, zero: Int32(scheme.middle), highest: Int32(scheme.highestCode))
        }
        if scheme.isTernary { return ternary(weights) }
        if scheme.isSymmetric {
            high = max(-low, high)
            low = -high
        }
        var best = grid(low, high)
        guard case .leastError(let steps, let shrink, let power) = fit else { return best }
        var leastError = error(best, weights, power)
        for step in 1..<max(1, Int(shrink * Double(steps))) {
            let part = Float(1 - Double(step) / Double(steps))
            let candidate = grid(part * low, part * high)
            let error = error(candidate, weights, power)
            if error < leastError { (leastError, best) = (error, candidate) }
        }
        return best
    }

    private func grid(_ low: Float, _ high: Float) -> GroupGrid {
        let highest = Float(scheme.highestCode)
        let scale = scheme.scaleType.scale((high - low) / highest)
        let zero = scheme.isSymmetric ? Float(scheme.middle) : (-low / scale).rounded(.toNearestOrEven)
        return GroupGrid(scale: scale, zero: Int32(min(max(zero, 0), highest)), highest: Int32(highest))
    }

    private func error(_ grid: GroupGrid, _ weights: UnsafeBufferPointer<Float>, _ power: Double) -> Double {
        weights.reduce(0) { $0 + pow(Double(abs(grid.rounded($1) - $1)), power) }
    }

    /// The scale with the least squared error.
    ///
    /// With the k largest magnitudes at ±scale and the others at 0 the best scale
    /// is their mean m, and it takes k · m² off the error (Li, Zhang and Liu, Ternary Weight Networks, 2016): all k are
    /// tried.
    private func ternary(_ weights: UnsafeBufferPointer<Float>) -> GroupGrid {
        var (sum, most, best) = (0.0, 0.0, 0.0)
        for (index, magnitude) in weights.map({ abs($0) }).sorted(by: >).enumerated() {
            sum += Double(magnitude)
            let gain = sum * sum / Double(index + 1)
            if gain > most { (most, best) = (gain, sum / Double(index + 1)) }
        }
        return GroupGrid(scale: scheme.scaleType.scale(Float(best)), zero: 1, highest: 2)
    }
}
