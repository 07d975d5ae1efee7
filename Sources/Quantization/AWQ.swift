import Foundation
public import Kernels
public import TensorCore

/// AWQ (Lin, Tang, Tang, Yang, Dang and Han, 2023, arXiv 2306.00978): inputs that are large are made smaller, and the
/// columns of the weight that meet them larger, so that rounding harms those columns less.
///
/// ``searchScales(statistics:weights:scheme:context:output:)`` finds the factors, the `fold` functions put their
/// inverses into the operation before, ``searchClip(weight:inputs:scheme:context:)`` finds where weights are best clipped,
/// and ``RoundToNearest`` quantises the scaled and clipped weight. Nothing here knows what the layers are for.
public struct AWQ: Sendable {
    /// Exponents that are tried, from 0 to below 1 in equal steps.
    public var gridPoints: Int
    /// Whether a scale also falls with the mean magnitude of its column of the weights, relative to the group:
    /// `s = mean|x|^ratio / (mean|w|^(1 − ratio) + 10⁻⁴)`, as AutoAWQ has it, in place of the paper's `mean|x|^ratio`.
    public var usesWeightMagnitudes: Bool
    /// Ranges that ``searchClip(weight:inputs:scheme:context:)`` tries: `1 − i / clipSteps` of the whole range.
    public var clipSteps: Int
    /// How far a range may shrink: i stays below this times ``clipSteps``.
    public var largestShrink: Double
    /// Rows of inputs that the clip search looks at, taken in equal steps over all rows.
    public var clipRows: Int

    /// The usual settings.
    public init(
        gridPoints: Int = 20, usesWeightMagnitudes: Bool = true, clipSteps: Int = 20, largestShrink: Double = 0.5,
        clipRows: Int = 512
    ) {
        self.gridPoints = gridPoints
        self.usesWeightMagnitudes = usesWeightMagnitudes
        self.clipSteps = clipSteps
        self.largestShrink = largestShrink
        self.clipRows = clipRows
    }

    /// What a search for scales has found.
    public struct Scales: Sendable {
        /// The factor of each input's column; 1 everywhere when no scaling is best.
        public let scales: [Float]
        /// The exponent of the best scales; `nil` when no scaling is best.
        public let ratio: Double?
        /// The mean squared error of the output with these scales.
        public let error: Double
        /// The same without scales: of round-to-nearest.
        public let unscaledError: Double
        /// The error of every exponent, in the order of the grid.
        public let errors: [Double]
    }

    /// ``searchScales(statistics:weights:scheme:context:output:)`` with the statistics of inputs `[n, inputs]` in F32.
    /// - Throws: as that does.
    public func searchScales(
        inputs: Tensor, weights: [Tensor], scheme: QuantizationScheme, context: ComputeContext,
        output: (_ weights: [Tensor]) throws -> Tensor
    ) throws -> Scales {
        try QuantizationError.check(inputs.shape.rank == 2, "activations", "a matrix", "shape \(inputs.shape)")
        var statistics = ActivationStatistics(inputs: inputs.shape[1])
        try statistics.add(inputs)
        return try searchScales(
            statistics: statistics, weights: weights, scheme: scheme, context: context, output: output)
    }

    /// Finds the scales of linear layers that read the same inputs.
    ///
    /// Each candidate is normalised by the root of its largest times its smallest number. Its error is the mean squared
    /// difference of `output` with weights `Q(W · diag(s)) · diag(s)⁻¹` from `output` with the weights as they are.
    /// No scaling is among the candidates, so the error is never larger than without.
    ///
    /// Cost: ``gridPoints`` + 1 calls of `output`, or one more.
    /// - Parameters:
    ///   - weights: `[outputs, inputs]` in F32 each.
    ///   - output: what the layers lead to with other weights in their place, by the same inputs as ever.
    /// - Throws: ``QuantizationError`` when shapes, the scheme or a setting do not fit, or an output is not finite; and
    ///   what `output` throws.
    public func searchScales(
        statistics: ActivationStatistics, weights: [Tensor], scheme: QuantizationScheme, context: ComputeContext,
        output: (_ weights: [Tensor]) throws -> Tensor
    ) throws -> Scales {
        try QuantizationError.check((1...10_000).contains(gridPoints), "gridPoints", "from 1 to 10000", "\(gridPoints)")
        try QuantizationError.check(statistics.count > 0, "activations", "at least one row", "none")
        try QuantizationError.check(!weights.isEmpty, "weights", "at least one", "none")
        let inputs = statistics.inputs
        for weight in weights {
            _ = try WeightMatrix(weight, scheme)
            try QuantizationError.check(
                weight.shape[1] == inputs, "weight", "\(inputs) inputs", "shape \(weight.shape)")
        }
        let reference = try output(weights).doubles()
        func error(_ scales: [Float]) throws -> Double {
            let rounded = try weights.map {
                try RoundToNearest.roundTrip($0, scheme, scales: scales, context: context)
            }
            let result = try output(rounded).doubles()
            try QuantizationError.check(
                result.count == reference.count && !result.isEmpty, "output",
                "\(max(1, reference.count)) elements, as with the weights as they are", "\(result.count)")
            return zip(result, reference).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(result.count)
        }
        let ones = [Float](repeating: 1, count: inputs)
        let unscaled = try error(ones)
        try QuantizationError.check(unscaled.isFinite, "output", "finite numbers", "an error of \(unscaled)")
        var best = (scales: ones, ratio: Double?.none, error: unscaled)
        var errors: [Double] = []
        let magnitudes = usesWeightMagnitudes ? try weightMagnitudes(weights, scheme) : nil
        for point in 0..<gridPoints {
            let ratio = Double(point) / Double(gridPoints)
            let scales = candidate(statistics.meanMagnitudes, magnitudes, Float(ratio))
            let error = scales == ones ? unscaled : try error(scales)
            errors.append(error)
            if error < best.error { best = (scales, ratio, error) }
        }
        return Scales(
            scales: best.scales, ratio: best.ratio, error: best.error, unscaledError: unscaled, errors: errors)
    }

    private func candidate(_ inputs: [Float], _ weights: [Float]?, _ ratio: Float) -> [Float] {
        var scales = inputs.map { pow($0, ratio) }
        if let weights {
            for index in scales.indices { scales[index] /= pow(weights[index], 1 - ratio) + 1e-4 }
        }
        // An input that is always 0 would have scale 0.
        for index in scales.indices { scales[index] = max(scales[index], 1e-4) }
        let middle = ((scales.max() ?? 1) * (scales.min() ?? 1)).squareRoot()
        return scales.map { ($0 / middle).isFinite && $0 / middle > 0 ? $0 / middle : 1 }
    }

    /// The mean over all outputs of |w| relative to the largest of its group, for every input.
    private func weightMagnitudes(_ weights: [Tensor], _ scheme: QuantizationScheme) throws(QuantizationError)
        -> [Float]
    {
        var sums: [Double] = []
        var outputs = 0
        for weight in weights {
            let matrix = try WeightMatrix(weight, scheme)
            if sums.isEmpty { sums = [Double](repeating: 0, count: matrix.inputs) }
            outputs += matrix.outputs
            for start in stride(from: 0, to: matrix.outputs * matrix.inputs, by: matrix.groupSize) {
                let group = UnsafeBufferPointer(start: matrix.tensor.floats + start, count: matrix.groupSize)
                let largest = group.reduce(0) { max($0, abs($1)) } + 1e-6
                for (index, weight) in group.enumerated() {
                    sums[start % matrix.inputs + index] += Double(abs(weight) / largest)
                }
            }
            withExtendedLifetime(matrix) {}
        }
        return sums.map { Float($0 / Double(max(1, outputs))) }
    }
}
