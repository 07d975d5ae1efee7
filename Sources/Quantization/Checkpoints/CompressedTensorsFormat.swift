import Kernels
import TensorCore

/// The tensors of compressed-tensors.
///
/// `pack-quantized`: `weight_packed` I32 `[outputs, inputs · bits / 32]`, rounded up; `weight_shape` I64 `[2]`;
/// `weight_scale` `[outputs, groups]`, or one; `weight_zero_point` I32 `[outputs · bits / 32, groups]`, packed along the
/// outputs, or I8 as it is; `weight_g_idx` I32 `[inputs]`. Codes and packed zeros are stored with 2^(bits − 1) added.
/// `int-quantized`: `weight` I8 `[outputs, inputs]`, signed.
///
/// With 3 bits codes lie densely, as the package packs now. It used to put ten in a word; the shape tells for rows of
/// more than 150 inputs.
enum CompressedTensorsFormat {
    typealias Extents = (outputs: Int?, inputs: Int?)

    static func read(
        _ stored: StoredModule, _ quantization: ModuleQuantization, extents: Extents
    ) throws(CheckpointFormatError) -> QuantizedWeight {
        let bits = quantization.bits
        let (codes, outputs, inputs) =
            quantization.isPacked
            ? try packedCodes(stored, bits: bits, extents: extents)
            : try plainCodes(stored, bits: bits, extents: extents)
        let marker = quantization.isPacked ? "weight_packed" : "weight"
        let groupSize = try stored.groupSize(quantization, inputs: inputs, of: marker)
        let groups = inputs / groupSize
        let scaleTensor = try stored.required("weight_scale")
        return try stored.weight(
            outputs: outputs, inputs: inputs, bits: bits, groupSize: groupSize, codes: codes,
            scales: try scales(stored, scaleTensor, quantization, outputs: outputs, groups: groups),
            scaleType: scaleTensor.dtype,
            zeros: try zeros(stored, quantization, outputs: outputs, groups: groups),
            groupIndex: try groupIndex(stored, quantization, inputs: inputs, groupSize: groupSize))
    }

    private static func checkExtents(
        _ stored: StoredModule, _ tensor: String, _ shape: [Int], _ extents: Extents
    ) throws(CheckpointFormatError) {
        guard shape.count == 2, shape[0] >= 0, shape[1] > 0 else {
            throw stored.failure(tensor, "values", "outputs from 0 and inputs from 1", "\(shape)")
        }
        let expected = [extents.outputs ?? shape[0], extents.inputs ?? shape[1]]
        guard shape == expected else {
            throw stored.failure(tensor, "shape", "\(expected), outputs and inputs", "\(shape)")
        }
    }

    private static func packedCodes(
        _ stored: StoredModule, bits: Int, extents: Extents
    ) throws(CheckpointFormatError) -> (codes: [UInt8], outputs: Int, inputs: Int) {
        let packed = try stored.required("weight_packed")
        let shape = try stored.integers(try stored.required("weight_shape"), "weight_shape", [.int64, .int32])
        try checkExtents(stored, "weight_shape", shape, extents)
        // Extents that overflow cannot be those of words that are there.
        guard shape[1] <= Int(Int32.max) else {
            throw stored.failure("weight_shape", "values", "inputs to 2^31", "\(shape)")
        }
        try stored.checkShape(
            packed, "weight_packed", [shape[0], PackedCodes.words(shape[1], bits: bits)],
            because: "\(bits) bits, \(shape[0]) outputs, \(shape[1]) inputs")
        let words = try stored.words(packed, "weight_packed")
        return (PackedCodes.unpack(words, lines: shape[0], count: shape[1], bits: bits), shape[0], shape[1])
    }

    private static func plainCodes(
        _ stored: StoredModule, bits: Int, extents: Extents
    ) throws(CheckpointFormatError) -> (codes: [UInt8], outputs: Int, inputs: Int) {
        let plain = try stored.required("weight")
        guard plain.dtype == .int8 else { throw stored.failure("weight", "dtype", "I8", plain.dtype.rawValue) }
        let shape = plain.shape.dimensions
        try checkExtents(stored, "weight", shape, extents)
        let codes = try bytes(stored, plain, "weight", bits: bits)
        return (codes, shape[0], shape[1])
    }

    /// Signed numbers with 2^(bits − 1) added.
    private static func bytes(
        _ stored: StoredModule, _ found: Tensor, _ tensor: String, bits: Int
    ) throws(CheckpointFormatError) -> [UInt8] {
        let half = 1 << (bits - 1)
        let values = try stored.integers(found, tensor, [.int8])
        if let bad = values.first(where: { $0 < -half || $0 >= half }) {
            throw stored.failure(tensor, "values", "from \(-half) to below \(half) for \(bits) bits", "\(bad)")
        }
        return values.map { UInt8($0 + half) }
    }

    private static func scales(
        _ stored: StoredModule, _ found: Tensor, _ quantization: ModuleQuantization, outputs: Int, groups: Int
    ) throws(CheckpointFormatError) -> [Float] {
        let values = try stored.scales(found, "weight_scale")
        guard quantization.hasOneScale else {
            try stored.checkShape(
                found, "weight_scale", [outputs, groups], because: "\(outputs) outputs and \(groups) groups")
            return values
        }
        guard values.count == 1 else {
            throw stored.failure("weight_scale", "shape", "[1] for the strategy tensor", "\(found.shape.dimensions)")
        }
        return [Float](repeating: values[0], count: outputs)
    }

    private static func zeros(
        _ stored: StoredModule, _ quantization: ModuleQuantization, outputs: Int, groups: Int
    ) throws(CheckpointFormatError) -> [Int16]? {
        let name = "weight_zero_point"
        guard let found = stored.optional(name) else {
            if quantization.isSymmetric { return nil }
            throw stored.failure(name, "tensor", "zeros, as symmetric is false", "none")
        }
        let bits = quantization.bits
        var values: [UInt8]
        if quantization.hasOneScale {
            values = try bytes(stored, found, name, bits: bits)
            guard values.count == 1 else {
                throw stored.failure(name, "shape", "[1] for the strategy tensor", "\(found.shape.dimensions)")
            }
            values = [UInt8](repeating: values[0], count: outputs)
        } else if found.dtype == .int8 {
            try stored.checkShape(found, name, [outputs, groups], because: "\(outputs) outputs and \(groups) groups")
            values = try bytes(stored, found, name, bits: bits)
        } else {
            try stored.checkShape(
                found, name, [PackedCodes.words(outputs, bits: bits), groups],
                because: "\(bits) bits, \(outputs) outputs, \(groups) groups")
            // Words run down the columns, a group in each.
            let lines = PackedCodes.unpack(
                try stored.words(found, name), lines: groups, count: outputs, bits: bits, downColumns: true)
            values = PackedCodes.transposed(lines, rows: groups, columns: outputs)
        }
        return try stored.checkedZeros(values, name, groups: groups, quantization: quantization)
    }

    private static func groupIndex(
        _ stored: StoredModule, _ quantization: ModuleQuantization, inputs: Int, groupSize: Int
    ) throws(CheckpointFormatError) -> [Int32]? {
        let name = "weight_g_idx"
        guard let found = stored.optional(name) else {
            if !quantization.isActOrdered { return nil }
            throw stored.failure(name, "tensor", "[\(inputs)], as actorder is group", "none")
        }
        // Left at −1 where inputs are in order.
        let values = try stored.integers(found, name, [.int32, .int64])
        if values.count == inputs, values.allSatisfy({ $0 == -1 }) {
            if !quantization.isActOrdered { return nil }
            throw stored.failure(name, "values", "groups, as actorder is group", "-1 everywhere")
        }
        guard let result = try stored.groupIndex(found, name, inputs: inputs, groupSize: groupSize) else { return nil }
        // The package sorts inputs by group and cuts them in runs: groups of other sizes would mean something else.
        var counts = [Int](repeating: 0, count: inputs / groupSize)
        for group in result { counts[Int(group)] += 1 }
        if let bad = counts.firstIndex(where: { $0 != groupSize }) {
            throw stored.failure(name, "values", "\(groupSize) inputs in each group", "\(counts[bad]) in group \(bad)")
        }
        return result
    }

    static func write(_ writer: WeightWriter) throws(CheckpointFormatError) -> [String: Tensor] {
        let (weight, quantization) = (writer.weight, writer.quantization)
        guard quantization.isPacked, !quantization.hasOneScale else {
            throw writer.failure(
                "format", "pack-quantized with a scale for each row to write",
                quantization.isPacked ? "the strategy tensor" : "int-quantized")
        }
        guard weight.groupIndex == nil else {
            throw writer.failure("groupIndex", "none: the package no longer reads weight_g_idx", "another order")
        }
        let (outputs, inputs, bits, groups) = (weight.outputs, weight.inputs, weight.bits, weight.groups)
        var result = [
            "weight_packed": try writer.words(
                PackedCodes.pack(weight.codes, lines: outputs, count: inputs, bits: bits),
                [outputs, PackedCodes.words(inputs, bits: bits)]),
            "weight_scale": try writer.scales(weight.scales, [outputs, groups]),
            "weight_shape": try writer.tensor([Int64(outputs), Int64(inputs)], [2]),
        ]
        if !quantization.isSymmetric {
            let zeros = try writer.zeros(0...Int16(1 << bits - 1))
            let lines = PackedCodes.transposed(zeros, rows: outputs, columns: groups)
            result["weight_zero_point"] = try writer.words(
                PackedCodes.pack(lines, lines: groups, count: outputs, bits: bits, downColumns: true),
                [PackedCodes.words(outputs, bits: bits), groups])
        }
        return result
    }
}
