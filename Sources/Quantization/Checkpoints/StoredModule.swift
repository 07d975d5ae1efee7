import Kernels
import TensorCore

/// The tensors that a file holds of one module, with errors that name them.
struct StoredModule {
    let module: String
    private let lookUp: (String) -> Tensor?

    init(_ module: String, _ lookUp: @escaping (String) -> Tensor?) {
        self.module = module
        self.lookUp = lookUp
    }

    func name(_ tensor: String) -> String { "\(module).\(tensor)" }

    func failure(_ tensor: String, _ field: String, _ expected: String, _ actual: String) -> CheckpointFormatError {
        CheckpointFormatError(place: name(tensor), field: field, expected: expected, actual: actual)
    }

    func optional(_ tensor: String) -> Tensor? { lookUp(name(tensor)) }

    func required(_ tensor: String) throws(CheckpointFormatError) -> Tensor {
        guard let found = optional(tensor) else { throw failure(tensor, "tensor", "a tensor", "none") }
        return found
    }

    func checkShape(
        _ found: Tensor, _ tensor: String, _ shape: [Int], because reason: String
    ) throws(CheckpointFormatError) {
        guard found.shape.dimensions == shape else {
            throw failure(tensor, "shape", "\(shape) for \(reason)", "\(found.shape.dimensions)")
        }
    }

    func checkRank(_ found: Tensor, _ tensor: String, _ form: String) throws(CheckpointFormatError) {
        guard found.shape.dimensions.count == 2 else {
            throw failure(tensor, "shape", form, "\(found.shape.dimensions)")
        }
    }

    /// The words of packed codes.
    func words(_ found: Tensor, _ tensor: String) throws(CheckpointFormatError) -> [UInt32] {
        guard found.dtype == .int32 else { throw failure(tensor, "dtype", "I32", found.dtype.rawValue) }
        do {
            return try found.contiguous().withUnsafeElements(Int32.self) { source in
                source.map { UInt32(bitPattern: $0) }
            }
        } catch {
            throw failure(tensor, "dtype", "I32", "\(error)")
        }
    }

    /// Whole numbers of a small tensor.
    func integers(
        _ found: Tensor, _ tensor: String, _ types: [DType]
    ) throws(CheckpointFormatError) -> [Int] {
        let expected = types.map(\.rawValue).joined(separator: " or ")
        guard types.contains(found.dtype) else { throw failure(tensor, "dtype", expected, found.dtype.rawValue) }
        do {
            return try found.integers()
        } catch {
            throw failure(tensor, "dtype", expected, "\(error)")
        }
    }

    /// Scales, all of them finite.
    func scales(_ found: Tensor, _ tensor: String) throws(CheckpointFormatError) -> [Float] {
        guard [.float16, .bfloat16, .float32].contains(found.dtype) else {
            throw failure(tensor, "dtype", "F16, BF16 or F32", found.dtype.rawValue)
        }
        let result = found.floats()
        if let bad = result.firstIndex(where: { !$0.isFinite }) {
            throw failure(tensor, "values", "finite scales", "\(result[bad]) at \(place(bad, found))")
        }
        return result
    }

    /// Where in a tensor of rank 2 an element lies.
    func place(_ index: Int, _ tensor: Tensor) -> String {
        let columns = max(1, tensor.shape.dimensions.last ?? 1)
        return "[\(index / columns), \(index % columns)]"
    }

    /// The group of each input from a tensor of them; `nil` when it is the input's number divided by the group size.
    func groupIndex(
        _ found: Tensor, _ tensor: String, inputs: Int, groupSize: Int
    ) throws(CheckpointFormatError) -> [Int32]? {
        try checkShape(found, tensor, [inputs], because: "\(inputs) inputs")
        let places = try integers(found, tensor, [.int32, .int64])
        let groups = inputs / groupSize
        if let bad = places.firstIndex(where: { $0 < 0 || $0 >= groups }) {
            throw failure(tensor, "values", "from 0 to below \(groups) groups", "\(places[bad]) for input \(bad)")
        }
        let isTrivial = places.enumerated().allSatisfy { $1 == $0 / groupSize }
        return isTrivial ? nil : places.map { Int32($0) }
    }

    /// Inputs that share a scale.
    /// - Throws: when they do not divide the inputs.
    func groupSize(
        _ quantization: ModuleQuantization, inputs: Int, of tensor: String
    ) throws(CheckpointFormatError) -> Int {
        guard let size = quantization.groupSize else { return inputs }
        guard inputs % size == 0 else {
            throw failure(tensor, "group_size", "a divisor of \(inputs) inputs", "\(size)")
        }
        return size
    }

    /// Zeros `[outputs, groups]` for a weight; `nil` when every one is 2^(bits − 1).
    /// - Throws: when the configuration says that they are, and they are not.
    func checkedZeros(
        _ zeros: [UInt8], _ tensor: String, groups: Int, quantization: ModuleQuantization
    ) throws(CheckpointFormatError) -> [Int16]? {
        let middle = 1 << (quantization.bits - 1)
        guard let other = zeros.firstIndex(where: { Int($0) != middle }) else { return nil }
        if quantization.isSymmetric {
            throw failure(
                tensor, "values", "\(middle) everywhere, as the configuration says symmetric",
                "\(zeros[other]) for output \(other / groups), group \(other % groups)")
        }
        return zeros.map { Int16($0) }
    }

    /// A weight, put together.
    func weight(
        outputs: Int, inputs: Int, bits: Int, groupSize: Int, codes: [UInt8], scales: [Float], scaleType: DType,
        zeros: [Int16]?, groupIndex: [Int32]?
    ) throws(CheckpointFormatError) -> QuantizedWeight {
        do {
            return try QuantizedWeight(
                outputs: outputs, inputs: inputs, bits: bits, groupSize: groupSize, codes: codes, scales: scales,
                scaleType: scaleType, zeros: zeros, groupIndex: groupIndex)
        } catch {
            throw CheckpointFormatError(
                place: module, field: error.part, expected: error.expected, actual: error.actual)
        }
    }
}
