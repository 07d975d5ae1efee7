import Kernels
import TensorCore

/// A weight on its way into a file, with errors that name its module.
struct WeightWriter {
    let weight: QuantizedWeight
    let module: String
    let quantization: ModuleQuantization

    func failure(_ field: String, _ expected: String, _ actual: String) -> CheckpointFormatError {
        CheckpointFormatError(place: module, field: field, expected: expected, actual: actual)
    }

    /// Checks that the configuration says of the weight what it is.
    func checkAgreement() throws(CheckpointFormatError) {
        guard weight.bits == quantization.bits else {
            throw failure("bits", "\(quantization.bits), as in the configuration", "\(weight.bits)")
        }
        let size = quantization.groupSize ?? weight.inputs
        guard weight.groupSize == size else {
            throw failure("group_size", "\(size), as in the configuration", "\(weight.groupSize)")
        }
        guard weight.inputs % size == 0 else {
            throw failure("group_size", "a divisor of \(weight.inputs) inputs", "\(size)")
        }
        let middle = Int16(1 << (weight.bits - 1))
        if quantization.isSymmetric, let other = weight.zeros?.first(where: { $0 != middle }) {
            throw failure("zeros", "\(middle) everywhere, as the configuration says symmetric", "\(other)")
        }
        if weight.groupIndex != nil, !quantization.isActOrdered {
            throw failure("groupIndex", "none, as the configuration says that inputs are in order", "another order")
        }
    }

    func checkMultiple(_ field: String, _ extent: Int, of unit: Int) throws(CheckpointFormatError) {
        guard extent % unit == 0 else { throw failure(field, "a multiple of \(unit)", "\(extent)") }
    }

    /// Zeros `[outputs, groups]`, each in a range of bytes.
    func zeros(_ range: ClosedRange<Int16>, else hint: String = "") throws(CheckpointFormatError) -> [UInt8] {
        let middle = Int16(1 << (weight.bits - 1))
        let zeros = weight.zeros ?? [Int16](repeating: middle, count: weight.scales.count)
        if let bad = zeros.first(where: { !range.contains($0) }) {
            throw failure("zeros", "from \(range.lowerBound) to \(range.upperBound)\(hint)", "\(bad)")
        }
        return zeros.map { UInt8($0) }
    }

    /// Scales of a shape, in the weight's type for them.
    func scales(_ values: [Float], _ shape: Shape) throws(CheckpointFormatError) -> Tensor {
        try tensor(values, shape).converted(to: weight.scaleType)
    }

    func words(_ words: [UInt32], _ shape: Shape) throws(CheckpointFormatError) -> Tensor {
        try tensor(words.map { Int32(bitPattern: $0) }, shape)
    }

    func tensor<Element: TensorElement>(
        _ elements: [Element], _ shape: Shape
    ) throws(CheckpointFormatError) -> Tensor {
        do {
            return try Tensor(elements, shape: shape)
        } catch {
            throw failure("shape", "\(shape)", "\(error)")
        }
    }
}
