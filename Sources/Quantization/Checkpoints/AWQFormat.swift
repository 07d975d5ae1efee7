import Kernels
import TensorCore

/// AWQ's tensors, 4 bits.
///
/// GEMM: `qweight` I32 `[inputs, outputs / 8]` and `qzeros` I32 `[groups, outputs / 8]`, packed along the outputs in
/// the order 0 2 4 6 1 3 5 7; `scales` `[groups, outputs]`. GEMV: `qweight` I32 `[outputs, inputs / 8]` and `qzeros`
/// I32 `[outputs, words]`, packed in order; `scales` `[outputs, 8 · words]`, where the words of zeros are filled up to
/// a multiple of 1, 2 or 4 for groups of 128 and more, 64 or 32.
enum AWQFormat {
    typealias Extents = (outputs: Int?, inputs: Int?)

    /// Which of eight outputs lies in each place of a word.
    private static let order = [0, 2, 4, 6, 1, 3, 5, 7]

    static func readGEMM(
        _ stored: StoredModule, _ quantization: ModuleQuantization, extents: Extents
    ) throws(CheckpointFormatError) -> QuantizedWeight {
        let packed = try stored.required("qweight")
        try stored.checkRank(packed, "qweight", "[inputs, outputs / 8]")
        let inputs = extents.inputs ?? packed.shape.dimensions[0]
        let outputs = extents.outputs ?? packed.shape.dimensions[1] * 8
        guard outputs % 8 == 0, inputs > 0 else {
            throw stored.failure(
                "qweight", "shape", "inputs from 1, and a multiple of 8 outputs", "[\(outputs), \(inputs)]")
        }
        try stored.checkShape(
            packed, "qweight", [inputs, outputs / 8], because: "\(inputs) inputs and \(outputs) outputs")
        let groupSize = try stored.groupSize(quantization, inputs: inputs, of: "qweight")
        let groups = inputs / groupSize
        let reason = "\(groups) groups and \(outputs) outputs"
        let packedZeros = try stored.required("qzeros")
        try stored.checkShape(packedZeros, "qzeros", [groups, outputs / 8], because: reason)
        let scales = try stored.required("scales")
        try stored.checkShape(scales, "scales", [groups, outputs], because: reason)
        let codes = unpack(try stored.words(packed, "qweight"), rows: inputs, outputs: outputs)
        let zeros = unpack(try stored.words(packedZeros, "qzeros"), rows: groups, outputs: outputs)
        return try stored.weight(
            outputs: outputs, inputs: inputs, bits: 4, groupSize: groupSize, codes: codes,
            scales: PackedCodes.transposed(try stored.scales(scales, "scales"), rows: groups, columns: outputs),
            scaleType: scales.dtype,
            zeros: try stored.checkedZeros(zeros, "qzeros", groups: groups, quantization: quantization),
            groupIndex: nil)
    }

    /// Codes `[outputs, rows]` of words `[rows, outputs / 8]`, in tiles of rows so that codes are written in runs.
    private static func unpack(_ words: [UInt32], rows: Int, outputs: Int) -> [UInt8] {
        let columns = outputs / 8
        return [UInt8](unsafeUninitializedCapacity: rows * outputs) { codes, written in
            words.withUnsafeBufferPointer { words in
                for top in stride(from: 0, to: rows, by: 64) {
                    for column in 0..<columns {
                        for (place, output) in order.enumerated() {
                            let start = (column * 8 + output) * rows
                            let shift = UInt32(4 * place)
                            for row in top..<min(top + 64, rows) {
                                let code = words[row * columns + column] >> shift & 15
                                codes.initializeElement(at: start + row, to: UInt8(truncatingIfNeeded: code))
                            }
                        }
                    }
                }
            }
            written = rows * outputs
        }
    }

    /// Words `[rows, outputs / 8]` of codes `[outputs, rows]`.
    private static func pack(_ codes: [UInt8], rows: Int, outputs: Int) -> [UInt32] {
        let columns = outputs / 8
        var words = [UInt32](repeating: 0, count: rows * columns)
        codes.withUnsafeBufferPointer { codes in
            words.withUnsafeMutableBufferPointer { words in
                for top in stride(from: 0, to: rows, by: 64) {
                    for column in 0..<columns {
                        for (place, output) in order.enumerated() {
                            let start = (column * 8 + output) * rows
                            for row in top..<min(top + 64, rows) {
                                words[row * columns + column] |= UInt32(codes[start + row]) << UInt32(4 * place)
                            }
                        }
                    }
                }
            }
        }
        return words
    }

    static func write(_ writer: WeightWriter) throws(CheckpointFormatError) -> [String: Tensor] {
        let weight = writer.weight
        guard weight.bits == 4 else { throw writer.failure("bits", "4 for gemm", "\(weight.bits)") }
        // The configuration has no word for it, whatever it was asked to say.
        guard weight.groupIndex == nil else {
            throw writer.failure("groupIndex", "none: gemm holds inputs in order", "another order")
        }
        try writer.checkMultiple("outputs", weight.outputs, of: 8)
        let (outputs, inputs, groups) = (weight.outputs, weight.inputs, weight.groups)
        let zeros = try writer.zeros(0...15)
        return [
            "qweight": try writer.words(pack(weight.codes, rows: inputs, outputs: outputs), [inputs, outputs / 8]),
            "qzeros": try writer.words(pack(zeros, rows: groups, outputs: outputs), [groups, outputs / 8]),
            "scales": try writer.scales(
                PackedCodes.transposed(weight.scales, rows: outputs, columns: groups), [groups, outputs]),
        ]
    }

    static func readGEMV(
        _ stored: StoredModule, _ quantization: ModuleQuantization, extents: Extents
    ) throws(CheckpointFormatError) -> QuantizedWeight {
        let packed = try stored.required("qweight")
        try stored.checkRank(packed, "qweight", "[outputs, inputs / 8]")
        let inputs = extents.inputs ?? packed.shape.dimensions[1] * 8
        let outputs = extents.outputs ?? packed.shape.dimensions[0]
        guard inputs % 8 == 0, inputs > 0 else {
            throw stored.failure("qweight", "shape", "a multiple of 8 inputs from 8", "\(inputs)")
        }
        try stored.checkShape(
            packed, "qweight", [outputs, inputs / 8], because: "\(outputs) outputs and \(inputs) inputs")
        let groupSize = try stored.groupSize(quantization, inputs: inputs, of: "qweight")
        let groups = inputs / groupSize
        let unit: Int
        switch groupSize {
        case 32: unit = 4
        case 64: unit = 2
        case 128...: unit = 1
        default: throw stored.failure("qweight", "group_size", "32, 64, or 128 and more for gemv", "\(groupSize)")
        }
        let width = ((groups + 7) / 8 + unit - 1) / unit * unit
        let reason = "\(outputs) outputs and \(groups) groups, filled up"
        let packedZeros = try stored.required("qzeros")
        try stored.checkShape(packedZeros, "qzeros", [outputs, width], because: reason)
        let scales = try stored.required("scales")
        try stored.checkShape(scales, "scales", [outputs, width * 8], because: reason)
        let codes = PackedCodes.unpack(try stored.words(packed, "qweight"), lines: outputs, count: inputs, bits: 4)
        let allZeros = PackedCodes.unpack(
            try stored.words(packedZeros, "qzeros"), lines: outputs, count: width * 8, bits: 4)
        let allScales = try stored.scales(scales, "scales")
        let zeros = (0..<outputs).flatMap { allZeros[($0 * width * 8)..<($0 * width * 8 + groups)] }
        return try stored.weight(
            outputs: outputs, inputs: inputs, bits: 4, groupSize: groupSize, codes: codes,
            scales: (0..<outputs).flatMap { allScales[($0 * width * 8)..<($0 * width * 8 + groups)] },
            scaleType: scales.dtype,
            zeros: try stored.checkedZeros(zeros, "qzeros", groups: groups, quantization: quantization),
            groupIndex: nil)
    }
}
