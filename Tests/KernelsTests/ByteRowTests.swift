import Kernels
import TensorCore
import Testing

/// Rows of a cache in bytes, for every instruction set of this CPU.
@Suite struct ByteRowTests {
    static let isas = ComputeContext.availableISAs
    private static let canary: Int8 = 99

    private struct Rounded: Equatable {
        var bytes: [Int8]
        var scales: [Float]
    }

    private static func round(_ row: [Float], heads: Int, isa: String) throws -> Rounded {
        let table = try ComputeContext(threads: 1, isa: isa).kernels
        var result = Rounded(
            bytes: [Int8](repeating: canary, count: row.count + 64), scales: [Float](repeating: -1, count: heads + 1))
        result.bytes.withUnsafeMutableBufferPointer { bytes in
            result.scales.withUnsafeMutableBufferPointer { scales in
                row.withUnsafeBufferPointer { row in
                    guard let b = bytes.baseAddress, let s = scales.baseAddress, let r = row.baseAddress else { return }
                    table.roundHeads(b, scales: s, row: r, heads: heads, headDim: row.count / heads)
                }
            }
        }
        // Nothing is written beyond the row.
        #expect(result.bytes.suffix(64).allSatisfy { $0 == canary } && result.scales.last == -1)
        result.bytes.removeLast(64)
        result.scales.removeLast()
        return result
    }

    /// By the definition, a number at a time.
    private static func reference(_ row: [Float], heads: Int) -> Rounded {
        let width = row.count / heads
        var result = Rounded(bytes: [], scales: [])
        for head in 0..<heads {
            let cells = row[head * width..<(head + 1) * width]
            let scale = (cells.map(abs).max() ?? 0) / 127
            result.scales.append(scale)
            result.bytes += cells.map { scale == 0 ? 0 : Int8(max(-127, min(127, ($0 / scale).rounded()))) }
        }
        return result
    }

    private static func numbers(_ count: Int, seed: UInt64, amplitude: Float) -> [Float] {
        Tensor.random(uniform: [count], seed: seed, amplitude: amplitude).floats()
    }

    @Test(arguments: isas, [1, 3, 16, 40, 64, 130])
    func headsAreRoundedByTheirOwnLargestNumber(isa: String, headDim: Int) throws {
        // Below the normal numbers scales lose bits, and in the end are 0.
        for (seed, amplitude) in [Float(1), 300, 1e-30, 1e30, 0x1p-141, 0x1p-145].enumerated() {
            let row = Self.numbers(5 * headDim, seed: UInt64(seed), amplitude: amplitude)
            let rounded = try Self.round(row, heads: 5, isa: isa)
            #expect(rounded == Self.reference(row, heads: 5), "amplitude \(amplitude)")
            // A head has the same bytes alone.
            for head in 0..<5 {
                let part = head * headDim..<(head + 1) * headDim
                let alone = try Self.round(Array(row[part]), heads: 1, isa: isa)
                #expect(alone.bytes == Array(rounded.bytes[part]) && alone.scales == [rounded.scales[head]])
            }
        }
    }

    @Test(arguments: isas)
    func halvesGoAwayFromZeroAndNothingElseDoes(isa: String) throws {
        // The scale is 1.
        let row: [Float] = [
            127, 0.5, -0.5, 1.5, -2.5, 126.5, -126.5, Float(0.5).nextDown, -Float(0.5).nextDown, Float(1.5).nextDown,
            Float(0.5).nextUp, 0, -0.0, 126.49999, -127,
        ]
        let rounded = try Self.round(row, heads: 1, isa: isa)
        #expect(rounded.bytes == [127, 1, -1, 2, -3, 127, -127, 0, 0, 1, 1, 0, 0, 126, -127])
        #expect(rounded.scales == [1])
    }

    @Test(arguments: isas)
    func whatBytesCannotHoldHasAScaleOfNaN(isa: String) throws {
        for odd: Float in [.nan, .infinity, -.infinity] {
            for place in [0, 5, 39] {
                var row = Self.numbers(3 * 40, seed: 7, amplitude: 2)
                let whole = try Self.round(row, heads: 3, isa: isa)
                row[40 + place] = odd
                let rounded = try Self.round(row, heads: 3, isa: isa)
                #expect(rounded.scales[1].isNaN)
                #expect(rounded.bytes[40..<80].allSatisfy { $0 == 0 })
                // The other heads are what they were.
                #expect(rounded.scales[0] == whole.scales[0] && rounded.scales[2] == whole.scales[2])
                #expect(rounded.bytes.prefix(40) == whole.bytes.prefix(40))
                #expect(rounded.bytes.suffix(40) == whole.bytes.suffix(40))
            }
        }
        let zeros = try Self.round([Float](repeating: 0, count: 80), heads: 2, isa: isa)
        #expect(zeros.scales == [0, 0] && zeros.bytes.allSatisfy { $0 == 0 })
        let largest = try Self.round([.greatestFiniteMagnitude, -1], heads: 1, isa: isa)
        #expect(largest.bytes == [127, 0] && largest.scales[0].isFinite)
    }
}
