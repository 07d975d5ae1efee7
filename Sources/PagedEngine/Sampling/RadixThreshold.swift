/// The border of the largest numbers of a row, found without sorting the row.
///
/// Numbers are read as 32-bit keys whose order is theirs. Three passes of 11, 11 and 10 bits each add up the weights of
/// the keys that share the bits found so far, and walk down from the largest until the target is reached. O(n) whatever
/// the numbers are, and the same for the same numbers: no pivot is drawn.
struct RadixThreshold {
    /// The key of the smallest number that is needed to reach the target.
    let key: UInt32
    /// The weight of all numbers above it.
    let above: Double

    private static let digits: [(shift: UInt32, bits: UInt32)] = [(21, 11), (10, 11), (0, 10)]

    /// The border of `values` at which the weights, added from the largest value down, reach `target`; the smallest
    /// value where they never do.
    init(_ values: [Float], target: Double, weight: (Int) -> Double) {
        var found: UInt32 = 0
        var known: UInt32 = 0
        var above = 0.0
        for (shift, bits) in Self.digits {
            var sums = [Double](repeating: 0, count: 1 << Int(bits))
            var used = [Bool](repeating: false, count: 1 << Int(bits))
            let digitMask = UInt32(1 << bits) - 1
            for index in values.indices {
                let key = Self.key(values[index])
                guard key & known == found else { continue }
                let digit = Int((key >> shift) & digitMask)
                sums[digit] += weight(index)
                used[digit] = true
            }
            // The lowest used digit ends the walk even below the target, which rounding may leave out of reach.
            let last = used.firstIndex(of: true) ?? 0
            var digit = used.lastIndex(of: true) ?? 0
            while digit > last {
                if used[digit] {
                    guard above + sums[digit] < target else { break }
                    above += sums[digit]
                }
                digit -= 1
            }
            found |= UInt32(digit) << shift
            known |= digitMask << shift
        }
        key = found
        self.above = above
    }

    /// A key whose order is the order of numbers.
    ///
    /// Adding zero makes one number of both zeros.
    static func key(_ value: Float) -> UInt32 {
        let bits = (value + 0).bitPattern
        return bits & 0x8000_0000 == 0 ? bits | 0x8000_0000 : ~bits
    }
}
