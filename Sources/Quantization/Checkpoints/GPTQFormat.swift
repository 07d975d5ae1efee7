import Kernels
import TensorCore

/// GPTQ's tensors: `qweight` I32 `[inputs · bits / 32, outputs]`, packed along the inputs; `qzeros` I32
/// `[groups, outputs · bits / 32]`, packed along the outputs; `scales` `[groups, outputs]`; `g_idx` I32 `[inputs]`.
///
/// Version 1 stores each zero less one. AutoGPTQ, whose layout it is, never means a zero of 0 by it: its packer writes
/// −1 over every zero that follows in the word. GPTQModel takes one from every zero of 2, 4 or 8 bits by subtracting
/// words, so that a zero of 0 borrows from the next; adding words gives back all of them. With 3 bits it takes one from
/// each zero by itself.
enum GPTQFormat {
    typealias Extents = (outputs: Int?, inputs: Int?)

    static func read(
        _ stored: StoredModule, _ quantization: ModuleQuantization, isVersion2: Bool, extents: Extents
    ) throws(CheckpointFormatError) -> QuantizedWeight {
        let bits = quantization.bits
        let packed = try stored.required("qweight")
        try stored.checkRank(packed, "qweight", "[inputs · bits / 32, outputs]")
        let (rows, columns) = (packed.shape.dimensions[0], packed.shape.dimensions[1])
        let order = stored.optional("g_idx")
        let inputs = extents.inputs ?? order?.count ?? rows * 32 / bits
        let outputs = extents.outputs ?? columns
        try stored.checkShape(
            packed, "qweight", [PackedCodes.words(inputs, bits: bits), outputs],
            because: "\(bits) bits, \(inputs) inputs, \(outputs) outputs")
        guard inputs > 0 else { throw stored.failure("qweight", "shape", "inputs from 1", "\(inputs)") }
        let groupSize = try stored.groupSize(quantization, inputs: inputs, of: "qweight")
        let groups = inputs / groupSize

        let packedZeros = try stored.required("qzeros")
        let zeroWords = PackedCodes.words(outputs, bits: bits)
        try stored.checkShape(
            packedZeros, "qzeros", [groups, zeroWords], because: "\(groups) groups, \(outputs) outputs of \(bits) bits")
        let scales = try stored.required("scales")
        try stored.checkShape(
            scales, "scales", [groups, outputs], because: "\(groups) groups and \(outputs) outputs")
        var groupIndex: [Int32]?
        if let order {
            groupIndex = try stored.groupIndex(order, "g_idx", inputs: inputs, groupSize: groupSize)
        } else if quantization.isActOrdered {
            throw stored.failure("g_idx", "tensor", "[\(inputs)], as desc_act is true", "none")
        }

        var words = try stored.words(packedZeros, "qzeros")
        if !isVersion2 {
            if let bad = overwritten(words, rowWords: zeroWords, bits: bits) {
                throw stored.failure(
                    "qzeros", "values", "zeros of version 1, each less one",
                    "-1 written over all zeros that follow it in words, first in \(stored.place(bad, packedZeros))")
            }
            if bits != 3 { words = words.map { $0 &+ ones(bits) } }
        }
        var zeros = PackedCodes.unpack(words, lines: groups, count: outputs, bits: bits)
        if !isVersion2, bits == 3 { zeros = zeros.map { ($0 + 1) & 7 } }
        zeros = PackedCodes.transposed(zeros, rows: groups, columns: outputs)
        let codes = PackedCodes.unpack(
            try stored.words(packed, "qweight"), lines: outputs, count: inputs, bits: bits, downColumns: true)
        return try stored.weight(
            outputs: outputs, inputs: inputs, bits: bits, groupSize: groupSize, codes: codes,
            scales: PackedCodes.transposed(try stored.scales(scales, "scales"), rows: groups, columns: outputs),
            scaleType: scales.dtype,
            zeros: try stored.checkedZeros(zeros, "qzeros", groups: groups, quantization: quantization),
            groupIndex: groupIndex)
    }

    /// A one in every place of a word.
    private static func ones(_ bits: Int) -> UInt32 {
        stride(from: 0, to: 32, by: bits).reduce(0) { $0 | 1 << UInt32($1) }
    }

    /// The first word in which −1 lies over all zeros that follow it; `nil` when there is none, or when another word
    /// shows that zeros follow after one that is all ones, as borrowing leaves them.
    private static func overwritten(_ words: [UInt32], rowWords: Int, bits: Int) -> Int? {
        let mask = UInt32(1) << UInt32(bits) - 1
        var first: Int?
        for (index, word) in words.enumerated() {
            // With 3 bits, a code that began in the word before has the lowest bits.
            let start = bits == 3 ? [0, 1, 2][index % rowWords % 3] : 0
            var place = start
            while place + bits <= 32, word >> UInt32(place) & mask != mask { place += bits }
            // At least one whole zero must lie above for this to say anything.
            guard place + 2 * bits <= 32 else { continue }
            guard word >> UInt32(place) == UInt32.max >> UInt32(place) else { return nil }
            first = first ?? index
        }
        return first
    }

    static func write(_ writer: WeightWriter, isVersion2: Bool) throws(CheckpointFormatError) -> [String: Tensor] {
        let weight = writer.weight
        let (outputs, inputs, bits) = (weight.outputs, weight.inputs, weight.bits)
        // The readers take whole words, and 32 codes of 3 bits at a time.
        try writer.checkMultiple("inputs", inputs, of: 32)
        try writer.checkMultiple("outputs", outputs, of: 32)
        let largest = Int16(1 << bits - 1)
        var zeros =
            isVersion2
            ? try writer.zeros(0...largest)
            : try writer.zeros(1...largest, else: " for gptq, which stores each less one (gptq_v2 holds 0)")
        if !isVersion2 { zeros = zeros.map { $0 - 1 } }
        let groups = weight.groups
        zeros = PackedCodes.transposed(zeros, rows: outputs, columns: groups)
        let scales = PackedCodes.transposed(weight.scales, rows: outputs, columns: groups)
        let order = weight.groupIndex ?? (0..<inputs).map { Int32($0 / weight.groupSize) }
        return [
            "qweight": try writer.words(
                PackedCodes.pack(weight.codes, lines: outputs, count: inputs, bits: bits, downColumns: true),
                [inputs / 32 * bits, outputs]),
            "qzeros": try writer.words(
                PackedCodes.pack(zeros, lines: groups, count: outputs, bits: bits), [groups, outputs / 32 * bits]),
            "scales": try writer.scales(scales, [groups, outputs]),
            "g_idx": try writer.tensor(order, [inputs]),
        ]
    }
}
