public import Kernels
public import TensorCore

/// Each weight becomes the nearest number of its group's grid: the baseline, and the last step of AWQ.
///
/// A grid holds 0 exactly and runs from the smallest weight to the largest:
///
/// - asymmetric: `scale = (max − min) / (2^bits − 1)`, where min ≤ 0 ≤ max, and `zero = round(−min / scale)`;
/// - symmetric: `scale = 2 · max |w| / (2^bits − 1)` and zero 2^(bits − 1), as GPTQ has it;
/// - ternary: the scale with the least squared error.
///
/// Scales are rounded to the scheme's element type before codes are computed. A group of zeros has scale 1.
public enum RoundToNearest {
    /// Quantises a weight `[outputs, inputs]` in F32.
    ///
    /// Cost: O(outputs · inputs), times the steps of ``GridFit/leastError(steps:largestShrink:power:)``.
    /// - Parameter context: spreads rows over threads; `nil`: the caller's thread alone. Never changes a bit.
    /// - Throws: ``QuantizationError`` when the scheme does not fit, the weight is no F32 matrix or not finite, or a scale
    ///   is beyond the scheme's element type.
    public static func quantize(
        _ weight: Tensor, _ scheme: QuantizationScheme, fit: GridFit = .range, context: ComputeContext? = nil
    ) throws(QuantizationError) -> QuantizedWeight {
        let matrix = try WeightMatrix(weight, scheme)
        try fit.validate(scheme)
        let fitter = GridFitter(scheme: scheme, fit: fit)
        let (size, groups) = (matrix.groupSize, matrix.groups)
        var parts = CodeParts(matrix)
        parts.withAddresses { parts in
            matrix.forEachRow(context) { output, row in
                for group in 0..<groups {
                    let weights = UnsafeBufferPointer(start: row + group * size, count: size)
                    let grid = fitter.grid(weights)
                    parts.store(grid, output: output, group: group)
                    let codes = parts.codes + output * matrix.inputs + group * size
                    for index in 0..<size { codes[index] = grid.code(weights[index]) }
                }
            }
        }
        return try parts.weight(matrix, groupIndex: nil)
    }

    /// What ``quantize(_:_:fit:context:)`` and `dequantized()` make of `weight · diag(scales)`, divided by the scales.
    static func roundTrip(
        _ weight: Tensor, _ scheme: QuantizationScheme, scales: [Float], context: ComputeContext
    ) throws(QuantizationError) -> Tensor {
        let matrix = try WeightMatrix(weight, scheme)
        let fitter = GridFitter(scheme: scheme, fit: .range)
        let (size, inputs) = (matrix.groupSize, matrix.inputs)
        let result = Tensor(unwritten: [matrix.outputs, inputs])
        let target = SendablePointer(result.freshMutableAddress.assumingMemoryBound(to: Float.self))
        matrix.forEachRow(context) { output, row in
            let rounded = target.base + output * inputs
            for input in 0..<inputs { rounded[input] = row[input] * scales[input] }
            for start in stride(from: 0, to: inputs, by: size) {
                let grid = fitter.grid(UnsafeBufferPointer(start: rounded + start, count: size))
                for input in start..<start + size { rounded[input] = grid.rounded(rounded[input]) / scales[input] }
            }
        }
        return result
    }
}
