import Foundation
public import Kernels
public import TensorCore

extension AWQ {
    /// ``searchScales(statistics:weights:scheme:context:output:)`` with the statistics of inputs `[n, inputs]` in F32, and
    /// an output in one part.
    /// - Throws: as that does.
    public func searchScales(
        inputs: Tensor, weights: [Tensor], scheme: QuantizationScheme, context: ComputeContext,
        output: (_ weights: [Tensor]) throws -> Tensor
    ) throws -> Scales {
        try QuantizationError.check(inputs.shape.rank == 2, "activations", "a matrix", "shape \(inputs.shape)")
        var statistics = ActivationStatistics(inputs: inputs.shape[1])
        try statistics.add(inputs)
        return try searchScales(
            statistics: statistics, weights: weights, scheme: scheme, context: context
        ) { [try output($0)] }
    }

    /// Finds the scales of linear layers that read the same inputs.
    ///
    /// Each candidate is normalised by the root of its largest times its smallest number. Its error is the mean squared
    /// difference of `output` with weights `Q(W · diag(s)) · diag(s)⁻¹` from `output` with the weights as they are.
    /// No scaling is among the candidates, so the error is never larger than without.
    ///
    /// Cost: ``gridPoints`` + 1 calls of `output`, or one more. Memory: the outputs, twice.
    /// - Parameters:
    ///   - weights: `[outputs, inputs]` in F32 each.
    ///   - output: what the layers lead to with other weights in their place, by the same inputs as ever, in F32 and in
    ///     the same parts.
    /// - Throws: ``QuantizationError`` when shapes, the scheme or a setting do not fit, or an output is not finite; and
    ///   what `output` throws.
    public func searchScales(
        statistics: ActivationStatistics, weights: [Tensor], scheme: QuantizationScheme, context: ComputeContext,
        output: (_ weights: [Tensor]) throws -> [Tensor]
    ) throws -> Scales {
        let candidates = try candidates(statistics, weights, scheme)
        func result(_ weights: [Tensor]) throws -> [Tensor] {
            let result = try output(weights)
            let other = result.first { $0.dtype != .float32 }
            try QuantizationError.check(other == nil, "output", "F32 elements", other?.dtype.rawValue ?? "")
            return result
        }
        let reference = try result(weights)
        let counts = reference.map(\.count)
        let elements = counts.reduce(0, +)
        try QuantizationError.check(elements > 0, "output", "at least one element", "none")
        let found = try leastError(candidates) { scales in
            let rounded = try weights.map {
                try RoundToNearest.roundTrip($0, scheme, scales: scales, context: context)
            }
            let result = try result(rounded)
            try QuantizationError.check(
                result.map(\.count) == counts, "output", "\(counts) elements, as with the weights as they are",
                "\(result.map(\.count))")
            let distances = zip(result, reference).map { $0.squaredDistance(to: $1, context: context) }
            return distances.reduce(0, +) / Double(elements)
        }
        return try found.checked("output")
    }

    /// Finds the scales of a linear layer whose own output is the aim.
    ///
    /// As ``searchScales(statistics:weights:scheme:context:output:)`` with the layer as `output`, but for
    /// rounding: the mean squared difference of all rows is `tr((W − Q) H (W − Q)ᵀ) / 2` for each output.
    ///
    /// Cost: 2 · outputs · inputs² operations in Double for each candidate, whatever the number of rows.
    /// - Parameters:
    ///   - hessian: of the layer's inputs.
    ///   - statistics: of the same inputs.
    ///   - weight: `[outputs, inputs]` in F32.
    /// - Throws: ``QuantizationError`` when shapes, the scheme or a setting do not fit.
    public func searchScales(
        hessian: InputHessian, statistics: ActivationStatistics, weight: Tensor, scheme: QuantizationScheme,
        context: ComputeContext
    ) throws(QuantizationError) -> Scales {
        let candidates = try candidates(statistics, [weight], scheme)
        try QuantizationError.check(
            hessian.inputs == statistics.inputs, "hessian", "\(statistics.inputs) inputs", "\(hessian.inputs)")
        try QuantizationError.check(hessian.count > 0, "hessian", "at least one row", "none")
        let matrix = hessian.matrix()
        let found = try leastError(candidates) { (scales) throws(QuantizationError) in
            let rounded = try RoundToNearest.roundTrip(weight, scheme, scales: scales, context: context)
            return try hessian.objective(weight, rounded, matrix, context) / Double(2 * weight.shape[0])
        }
        return try found.checked("hessian")
    }

    /// Scales to try, and the exponent they came from: none for no scaling, which is the first.
    private typealias Candidate = (ratio: Double?, scales: [Float])

    private func candidates(
        _ statistics: ActivationStatistics, _ weights: [Tensor], _ scheme: QuantizationScheme
    ) throws(QuantizationError) -> [Candidate] {
        try QuantizationError.check((1...10_000).contains(gridPoints), "gridPoints", "from 1 to 10000", "\(gridPoints)")
        try QuantizationError.check(statistics.count > 0, "activations", "at least one row", "none")
        try QuantizationError.check(!weights.isEmpty, "weights", "at least one", "none")
        let inputs = statistics.inputs
        for weight in weights {
            _ = try WeightMatrix(weight, scheme)
            try QuantizationError.check(
                weight.shape[1] == inputs, "weight", "\(inputs) inputs", "shape \(weight.shape)")
        }
        let magnitudes = usesWeightMagnitudes ? try weightMagnitudes(weights, scheme) : nil
        var result: [Candidate] = [(nil, [Float](repeating: 1, count: inputs))]
        for point in 0..<gridPoints {
            let ratio = Double(point) / Double(gridPoints)
            result.append((ratio, candidate(statistics.meanMagnitudes, magnitudes, Float(ratio))))
        }
        return result
    }

    /// The candidate with the least error, the first of those that are equal.
    private func leastError<Failure: Error>(
        _ candidates: [Candidate], error: (_ scales: [Float]) throws(Failure) -> Double
    ) throws(Failure) -> Scales {
        var best = (candidate: candidates[0], error: try error(candidates[0].scales))
        let unscaled = best.error
        var errors: [Double] = []
        for candidate in candidates.dropFirst() {
            let error = candidate.scales == candidates[0].scales ? unscaled : try error(candidate.scales)
            errors.append(error)
            if error < best.error { best = (candidate, error) }
        }
        return Scales(
            scales: best.candidate.scales, ratio: best.candidate.ratio, error: best.error, unscaledError: unscaled,
            errors: errors)
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

extension AWQ.Scales {
    /// - Throws: ``QuantizationError`` when the field's numbers have led to errors that are none.
    fileprivate func checked(_ field: String) throws(QuantizationError) -> Self {
        try QuantizationError.check(unscaledError.isFinite, field, "finite numbers", "an error of \(unscaledError)")
        return self
    }
}
