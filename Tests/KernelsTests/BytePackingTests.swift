import Kernels
import TensorCore
import Testing

/// Packing into bytes, for every instruction set of this CPU.
@Suite struct BytePackingTests {
    static let isas = ComputeContext.availableISAs

    /// A block of keys that `pack_key_bytes` has rounded, back in the order [key][headDim].
    private struct Rounded: Equatable {
        var bytes: [Int8] = []
        var scales: [Float] = []
        var corrections: [Int32] = []
        var mean: [Float] = []
        var isFinite = false
    }

    private static func round(_ keys: [Float], count: Int, headDim: Int, isa: String) throws -> Rounded {
        let table = try ComputeContext(threads: 1, isa: isa).kernels
        let width = table.panelWidth
        let groups = (headDim + 3) / 4
        var bytes = [Int8](repeating: 99, count: count * groups * 4)
        var result = Rounded()
        result.scales = [Float](repeating: 0, count: count)
        result.corrections = [Int32](repeating: 0, count: count)
        result.mean = [Float](repeating: 0, count: headDim.roundedUp(to: 16))
        result.isFinite = bytes.withUnsafeMutableBufferPointer { bytes in
            result.scales.withUnsafeMutableBufferPointer { scales in
                result.corrections.withUnsafeMutableBufferPointer { corrections in
                    result.mean.withUnsafeMutableBufferPointer { mean in
                        keys.withUnsafeBytes { rows in
                            guard let a = bytes.baseAddress, let b = scales.baseAddress,
                                let c = corrections.baseAddress, let d = mean.baseAddress, let r = rows.baseAddress
                            else { return false }
                            return table.packKeyBytes(
                                ByteKeys(bytes: a, scales: b, corrections: c, mean: d), rows: r, code: 0,
                                stride: headDim, count: count, headDim: headDim)
                        }
                    }
                }
            }
        }
        for key in 0..<count {
            for d in 0..<groups * 4 {
                let panel = key / width * width * groups * 4
                result.bytes.append(bytes[panel + (d / 4 * width + key % width) * 4 + d % 4])
            }
        }
        result.mean = Array(result.mean.prefix(headDim))
        return result
    }

    private static func keys(_ count: Int, _ headDim: Int) -> [Float] {
        (0..<count * headDim).map { Float(($0 * 7919 + 13) % 2003 - 1001) / 300 + ($0 % headDim == 3 ? 40 : 0) }
    }

    @Test(arguments: isas, [4, 7, 64, 130])
    func keysAreRoundedToTheNearestByte(isa: String, headDim: Int) throws {
        let count = 64
        let keys = Self.keys(count, headDim)
        let rounded = try Self.round(keys, count: count, headDim: headDim, isa: isa)
        #expect(rounded.isFinite)
        let row = rounded.bytes.count / count
        for key in 0..<count {
            var sum: Int32 = 0
            for d in 0..<row {
                let byte = rounded.bytes[key * row + d]
                sum += Int32(byte)
                guard d < headDim else {
                    #expect(byte == 0)
                    continue
                }
                let scale = rounded.scales[key]
                let error = abs(Float(byte) * scale + rounded.mean[d] - keys[key * headDim + d])
                // Half a step, and a little for the rounding of the mean.
                #expect(error <= scale * 0.501 + 1e-5, "key \(key), channel \(d)")
            }
            #expect(rounded.corrections[key] == -128 * sum)
            // The mean is away, so an offset of 40 in one channel does not make the steps of the others coarse.
            #expect(rounded.scales[key] < 8.0 / 127)
        }
    }

    @Test func bytesAreTheSameOnEveryTable() throws {
        for headDim in [5, 64, 96] {
            let all = try Self.isas.map {
                try Self.round(Self.keys(96, headDim), count: 96, headDim: headDim, isa: $0)
            }
            for one in all.dropFirst() { #expect(one == all[0]) }
        }
    }

    @Test(arguments: isas)
    func whatBytesCannotHoldIsRefused(isa: String) throws {
        for odd: Float in [.nan, .infinity, -.infinity, .greatestFiniteMagnitude] {
            var keys = Self.keys(32, 24)
            keys[24 * 7 + 5] = odd
            keys[24 * 8 + 5] = odd
            #expect(try !Self.round(keys, count: 32, headDim: 24, isa: isa).isFinite)
        }
        // All alike: no steps at all.
        let flat = try Self.round([Float](repeating: 3, count: 32 * 24), count: 32, headDim: 24, isa: isa)
        #expect(flat.isFinite && flat.bytes.allSatisfy { $0 == 0 } && flat.scales.allSatisfy { $0 == 0 })
    }
}
