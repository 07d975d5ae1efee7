/// Byte strings numbered in the order of their arrival, found by open addressing.
///
/// Keys are told apart by their bytes; `String` would compare, and hash, by canonical equivalence.
struct ByteTable: Sendable {
    private var bytes: [UInt8] = []
    /// Key k is `bytes[starts[k]..<starts[k + 1]]`.
    private var starts: [Int] = [0]
    /// A key's number plus one; 0 is free.
    ///
    /// A power of two long, at most half full.
    private var slots: [Int32] = Array(repeating: 0, count: 64)

    /// The number of keys.
    var count: Int { starts.count - 1 }

    /// The number of a key, or `nil`.
    ///
    /// Cost: O(bytes).
    func find(_ key: ArraySlice<UInt8>) -> Int? {
        let number = Int(slots[slot(of: key)])
        return number == 0 ? nil : number - 1
    }

    /// The number of a key, which is added when it is new.
    ///
    /// Cost: O(bytes) amortised.
    mutating func insert(_ key: ArraySlice<UInt8>) -> Int {
        if 2 * (count + 1) > slots.count { grow() }
        let slot = slot(of: key)
        if slots[slot] != 0 { return Int(slots[slot]) - 1 }
        bytes.append(contentsOf: key)
        starts.append(bytes.count)
        slots[slot] = Int32(count)
        return count - 1
    }

    /// The bytes of a key.
    subscript(number: Int) -> ArraySlice<UInt8> { bytes[starts[number]..<starts[number + 1]] }

    /// Forgets every key.
    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        starts = [0]
        slots = Array(repeating: 0, count: 64)
    }

    private func slot(of key: ArraySlice<UInt8>) -> Int {
        let mask = slots.count - 1
        var slot = Self.hash(key) & mask
        while slots[slot] != 0, !equals(Int(slots[slot]) - 1, key) { slot = (slot + 1) & mask }
        return slot
    }

    private func equals(_ number: Int, _ key: ArraySlice<UInt8>) -> Bool {
        let start = starts[number]
        guard starts[number + 1] - start == key.count else { return false }
        var index = start
        for byte in key {
            if bytes[index] != byte { return false }
            index += 1
        }
        return true
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: 0, count: old.count * 2)
        let mask = slots.count - 1
        for number in old where number != 0 {
            var slot = Self.hash(self[Int(number) - 1]) & mask
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = number
        }
    }

    /// FNV-1a (Fowler, Noll, Vo), folded so that the low bits see all of it.
    private static func hash(_ key: ArraySlice<UInt8>) -> Int {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return Int(truncatingIfNeeded: hash ^ (hash >> 29))
    }
}
