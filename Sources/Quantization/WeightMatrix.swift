import Kernels
import TensorCore

/// A weight that has been checked against a scheme.
struct WeightMatrix: Sendable {
    let tensor: Tensor
    let scheme: QuantizationScheme
    let outputs: Int
    let inputs: Int
    let groupSize: Int
    var groups: Int { inputs / groupSize }

    /// - Throws: ``QuantizationError`` when the scheme does not fit or the weight is no finite F32 matrix.
    init(_ weight: Tensor, _ scheme: QuantizationScheme) throws(QuantizationError) {
        self.tensor = try weight.checkedMatrix("weight", columns: nil)
        self.scheme = scheme
        self.outputs = weight.shape[0]
        self.inputs = weight.shape[1]
        try scheme.validate(inputs: inputs)
        self.groupSize = scheme.groupSize(inputs: inputs)
    }

    /// Visits every row, in any order.
    func forEachRow(
        _ context: ComputeContext?, _ body: @Sendable (_ output: Int, _ row: UnsafePointer<Float>) -> Void
    ) {
        // Enough rows for a task that handing it out costs nothing.
        let step = max(1, 16_384 / inputs)
        let source = SendablePointer(tensor.floats)
        context.forEach((outputs + step - 1) / step) { task in
            for output in task * step..<min(outputs, (task + 1) * step) {
                body(output, source.base + output * inputs)
            }
        }
        withExtendedLifetime(tensor) {}
    }
}

extension Tensor {
    /// The first element of a dense F32 tensor.
    var floats: UnsafePointer<Float> { baseAddress.assumingMemoryBound(to: Float.self) }

    /// The tensor, dense.
    /// - Throws: ``QuantizationError`` unless it is a finite F32 matrix with so many columns.
    func checkedMatrix(_ field: String, columns: Int?) throws(QuantizationError) -> Tensor {
        try QuantizationError.check(dtype == .float32, field, "F32 elements", dtype.rawValue)
        try QuantizationError.check(
            shape.rank == 2 && (columns == nil || shape[1] == columns), field,
            "a matrix" + (columns.map { " with \($0) columns" } ?? ""), "shape \(shape)")
        let dense = contiguous()
        if let index = dense.firstNonFinite {
            throw QuantizationError(
                field: field, expected: "finite numbers",
                actual: "\(dense.floats[index]) at [\(index / shape[1]), \(index % shape[1])]")
        }
        return dense
    }

    /// The place of the first element of a dense F32 tensor that is infinite or no number.
    private var firstNonFinite: Int? {
        withExtendedLifetime(storage) {
            let elements = UnsafeBufferPointer(start: floats, count: count)
            var highest: UInt32 = 0
            for element in elements { highest = max(highest, element.bitPattern & 0x7fff_ffff) }
            return highest < 0x7f80_0000 ? nil : elements.firstIndex { !$0.isFinite }
        }
    }
}

/// The parts of a quantised weight while rows are filled in.
struct CodeParts {
    /// Where rows write; each writes cells of its own.
    struct Addresses: @unchecked Sendable {
        let codes: UnsafeMutablePointer<UInt8>
        let scales: UnsafeMutablePointer<Float>
        let zeros: UnsafeMutablePointer<Int16>
        let groups: Int

        func store(_ grid: GroupGrid, output: Int, group: Int) {
            scales[output * groups + group] = grid.scale
            zeros[output * groups + group] = Int16(grid.zero)
        }
    }

    private let groups: Int
    private var codes: [UInt8]
    private var scales: [Float]
    private var zeros: [Int16]

    init(_ matrix: WeightMatrix) {
        groups = matrix.groups
        codes = [UInt8](repeating: 0, count: matrix.outputs * matrix.inputs)
        scales = [Float](repeating: 0, count: matrix.outputs * matrix.groups)
        zeros = [Int16](repeating: 0, count: matrix.outputs * matrix.groups)
    }

    mutating func withAddresses(_ body: (Addresses) -> Void) {
        let groups = groups
        codes.withUnsafeMutableBufferPointer { codes in
            scales.withUnsafeMutableBufferPointer { scales in
                zeros.withUnsafeMutableBufferPointer { zeros in
                    // A weight without outputs has nothing to fill in.
                    guard let codes = codes.baseAddress, let scales = scales.baseAddress,
                        let zeros = zeros.baseAddress
                    else { return }
                    body(Addresses(codes: codes, scales: scales, zeros: zeros, groups: groups))
                }
            }
        }
    }

    /// - Throws: ``QuantizationError`` when a scale is infinite.
    func weight(_ matrix: WeightMatrix, groupIndex: [Int32]?) throws(QuantizationError) -> QuantizedWeight {
        if let bad = scales.firstIndex(where: { !$0.isFinite }) {
            throw QuantizationError(
                field: "weight", expected: "magnitudes whose scales \(matrix.scheme.scaleType.rawValue) holds",
                actual: "a scale of \(scales[bad]) at [\(bad / matrix.groups), \(bad % matrix.groups)]")
        }
        do {
            return try QuantizedWeight(
                outputs: matrix.outputs, inputs: matrix.inputs, bits: matrix.scheme.bits,
                groupSize: matrix.groupSize, codes: codes, scales: scales, scaleType: matrix.scheme.scaleType,
                zeros: matrix.scheme.hasUsualZeros ? nil : zeros, groupIndex: groupIndex)
        } catch {
            throw QuantizationError(field: error.part, expected: error.expected, actual: error.actual)
        }
    }
}
