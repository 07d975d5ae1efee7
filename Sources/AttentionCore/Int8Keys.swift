import TensorCore

extension AttentionInputs {
    /// The same operands with INT8 keys and values multiplied by their scales, in Double; itself when they are
    /// floating-point.
    ///
    /// Cost: O(keys · (headDim + valueDim)).
    package var dequantized: AttentionInputs {
        guard let keyScales, let valueScales else { return self }
        var result = self
        result.key = Self.product(key, keyScales)
        result.value = Self.product(value, valueScales)
        result.keyScales = nil
        result.valueScales = nil
        return result
    }

    private static func product(_ tensor: Tensor, _ scales: Tensor) -> Tensor {
        var numbers = tensor.doubles()
        let factors = scales.doubles()
        let width = tensor.shape[3]
        for index in numbers.indices { numbers[index] *= factors[index / width] }
        return (try? Tensor(numbers, shape: tensor.shape)) ?? tensor
    }

    /// The same operands with keys and values rounded to INT8: each row of each head by its own largest number.
    ///
    /// `key = round(127 · key / max|key|)`, halves away from zero, and `max|key| / 127` is the scale. Errors are at most half
    /// a scale. A row of a head that is not finite has a scale of NaN, so that whoever sees it gets NaN.
    /// Cost: O(keys · (headDim + valueDim)).
    public var quantizingKeys: AttentionInputs {
        guard keyScales == nil else { return self }
        var result = self
        (result.key, result.keyScales) = Self.rounded(key)
        (result.value, result.valueScales) = Self.rounded(value)
        return result
    }

    private static func rounded(_ tensor: Tensor) -> (Tensor, Tensor) {
        let width = max(1, tensor.shape[3])
        let numbers = tensor.floats()
        var scales = [Float](repeating: 0, count: numbers.count / width)
        var integers = [Int8](repeating: 0, count: numbers.count)
        for row in scales.indices {
            let cells = numbers[row * width..<(row + 1) * width]
            let largest = cells.reduce(Float(0)) { max($0, abs($1)) }
            scales[row] = cells.allSatisfy(\.isFinite) ? largest / 127 : .nan
            guard scales[row] > 0 else { continue }
            for index in cells.indices {
                integers[index] = Int8(max(-127, min(127, (numbers[index] / scales[row]).rounded())))
            }
        }
        let shape = Shape(Array(tensor.shape.dimensions.prefix(3)))
        let rounded = (try? Tensor(integers, shape: tensor.shape)) ?? tensor
        return (rounded, (try? Tensor(scales, shape: shape)) ?? Tensor(zeros: shape))
    }
}
