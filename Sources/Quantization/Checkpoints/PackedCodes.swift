/// Codes one after another in 32-bit words, the first in the lowest bits; where a width does not divide 32, a code may
/// lie over two words.
///
/// GPTQ's layout of 3 bits, 32 codes in three words, is this one too.
enum PackedCodes {
    /// Words that a number of codes takes.
    static func words(_ count: Int, bits: Int) -> Int { (count * bits + 31) / 32 }

    /// Reads codes from words that lie `stride` apart.
    ///
    /// Cost: O(count).
    @inline(__always)
    static func unpack(
        _ words: UnsafePointer<UInt32>, stride: Int, bits: Int, count: Int, into codes: UnsafeMutablePointer<UInt8>
    ) {
        let mask = UInt64(1) << UInt64(bits) - 1
        var held: UInt64 = 0
        var heldBits = 0
        var next = 0
        for index in 0..<count {
            if heldBits < bits {
                held |= UInt64(words[next]) << UInt64(heldBits)
                heldBits += 32
                next += stride
            }
            codes[index] = UInt8(truncatingIfNeeded: held & mask)
            held >>= UInt64(bits)
            heldBits -= bits
        }
    }

    /// Writes codes into words that lie `stride` apart; bits past the last code are zero.
    ///
    /// Cost: O(count).
    @inline(__always)
    static func pack(
        _ codes: UnsafePointer<UInt8>, bits: Int, count: Int, into words: UnsafeMutablePointer<UInt32>, stride: Int
    ) {
        var held: UInt64 = 0
        var heldBits = 0
        var next = 0
        for index in 0..<count {
            held |= UInt64(codes[index]) << UInt64(heldBits)
            heldBits += bits
            if heldBits >= 32 {
                words[next] = UInt32(truncatingIfNeeded: held)
                held >>= 32
                heldBits -= 32
                next += stride
            }
        }
        if heldBits > 0 { words[next] = UInt32(truncatingIfNeeded: held) }
    }

    /// Codes `[lines, count]` of words `[lines, words]`, or of words `[words, lines]` when they run down the columns.
    static func unpack(_ words: [UInt32], lines: Int, count: Int, bits: Int, downColumns: Bool = false) -> [UInt8] {
        let length = self.words(count, bits: bits)
        return [UInt8](unsafeUninitializedCapacity: lines * count) { codes, written in
            words.withUnsafeBufferPointer { words in
                if let source = words.baseAddress, let target = codes.baseAddress {
                    for line in 0..<lines {
                        unpack(
                            source + (downColumns ? line : line * length), stride: downColumns ? lines : 1, bits: bits,
                            count: count, into: target + line * count)
                    }
                }
            }
            written = lines * count
        }
    }

    /// Words `[lines, words]` of codes `[lines, count]`, or `[words, lines]` when they run down the columns.
    static func pack(_ codes: [UInt8], lines: Int, count: Int, bits: Int, downColumns: Bool = false) -> [UInt32] {
        let length = words(count, bits: bits)
        var result = [UInt32](repeating: 0, count: lines * length)
        result.withUnsafeMutableBufferPointer { words in
            codes.withUnsafeBufferPointer { codes in
                guard let source = codes.baseAddress, let target = words.baseAddress else { return }
                for line in 0..<lines {
                    pack(
                        source + line * count, bits: bits, count: count,
                        into: target + (downColumns ? line : line * length), stride: downColumns ? lines : 1)
                }
            }
        }
        return result
    }

    /// A matrix the other way around: `[columns, rows]` of `[rows, columns]`, in tiles that a cache holds.
    static func transposed<Element: BitwiseCopyable>(_ values: [Element], rows: Int, columns: Int) -> [Element] {
        let tile = 64
        return [Element](unsafeUninitializedCapacity: values.count) { target, written in
            values.withUnsafeBufferPointer { source in
                for top in stride(from: 0, to: rows, by: tile) {
                    for left in stride(from: 0, to: columns, by: tile) {
                        for column in left..<min(left + tile, columns) {
                            for row in top..<min(top + tile, rows) {
                                target.initializeElement(at: column * rows + row, to: source[row * columns + column])
                            }
                        }
                    }
                }
            }
            written = values.count
        }
    }
}
