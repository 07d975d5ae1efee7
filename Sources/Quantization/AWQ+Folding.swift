public import TensorCore

/// Scales move between operations: what a weight's columns are multiplied by, the operation before is divided by.
extension AWQ {
    /// The weight `[outputs, inputs]` with each input's column multiplied by its scale.
    /// - Throws: ``QuantizationError`` when the weight is no finite F32 matrix of that width, or a scale is not above 0.
    public static func multiply(_ scales: [Float], intoColumns weight: Tensor) throws(QuantizationError) -> Tensor {
        let dense = try weight.checkedMatrix("weight", columns: scales.count)
        try check(scales)
        return dense.mapped { index, value in value * scales[index % scales.count] }
    }

    /// A normalisation's gain or bias `[n]`, divided by the scales of what reads it.
    /// - Parameter offset: what the normalisation adds to the gain before it multiplies: 1 where it stores gain − 1.
    /// - Throws: ``QuantizationError`` when it is no F32 vector of that length, or a scale is not above 0.
    public static func fold(
        _ scales: [Float], into gain: Tensor, offset: Float = 0
    ) throws(QuantizationError) -> Tensor {
        let dense = try vector(gain, "gain", count: scales.count)
        try check(scales)
        return dense.mapped { index, value in (value + offset) / scales[index] - offset }
    }

    /// The linear layer before, with rows of its weight and elements of its bias divided by the scales of what reads them.
    /// - Parameters:
    ///   - weight: `[outputs, inputs]` in F32.
    ///   - bias: `[outputs]` in F32.
    ///   - rows: the outputs that are read, as many as scales; `nil`: all of them.
    /// - Throws: ``QuantizationError`` when shapes or element types do not fit, or a scale is not above 0.
    public static func fold(
        _ scales: [Float], intoRows weight: Tensor, bias: Tensor? = nil, rows: Range<Int>? = nil
    ) throws(QuantizationError) -> (weight: Tensor, bias: Tensor?) {
        let dense = try weight.checkedMatrix("weight", columns: nil)
        let (outputs, inputs) = (dense.shape[0], dense.shape[1])
        let rows = rows ?? 0..<outputs
        try QuantizationError.check(
            rows.lowerBound >= 0 && rows.upperBound <= outputs, "rows", "within the \(outputs) outputs", "\(rows)")
        try QuantizationError.check(
            rows.count == scales.count, "scales", "\(rows.count), one for each row", "\(scales.count)")
        try check(scales)
        func divided(_ value: Float, _ row: Int) -> Float {
            rows.contains(row) ? value / scales[row - rows.lowerBound] : value
        }
        var newBias: Tensor?
        if let bias {
            newBias = try vector(bias, "bias", count: outputs).mapped { index, value in divided(value, index) }
        }
        return (dense.mapped { index, value in divided(value, index / inputs) }, newBias)
    }

    private static func check(_ scales: [Float]) throws(QuantizationError) {
        let bad = scales.first { !($0 > 0 && $0.isFinite) }
        try QuantizationError.check(bad == nil, "scales", "finite numbers above 0", "\(bad ?? 0)")
    }

    private static func vector(_ tensor: Tensor, _ field: String, count: Int) throws(QuantizationError) -> Tensor {
        try QuantizationError.check(tensor.dtype == .float32, field, "F32 elements", tensor.dtype.rawValue)
        try QuantizationError.check(tensor.shape == [count], field, "shape [\(count)]", "shape \(tensor.shape)")
        return tensor.contiguous()
    }
}

extension Tensor {
    /// A dense F32 tensor with every element replaced.
    fileprivate func mapped(_ body: (_ index: Int, _ value: Float) -> Float) -> Tensor {
        let result = Tensor(unwritten: shape)
        let target = result.freshMutableAddress.assumingMemoryBound(to: Float.self)
        for index in 0..<count { target[index] = body(index, floats[index]) }
        withExtendedLifetime(self) {}
        return result
    }
}
