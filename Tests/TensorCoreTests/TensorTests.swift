import TensorCore
import Testing

@Suite struct TensorTests {
    @Test func countMustFitShape() {
        #expect(throws: TensorError.countMismatch(shape: [2, 3], expected: 6, actual: 5)) {
            try Tensor([Float](repeating: 0, count: 5), shape: [2, 3])
        }
    }

    @Test func viewsAgreeWithIndexing() throws {
        let numbers = (0..<24).map { Float($0) }
        let tensor = try Tensor(numbers, shape: [2, 3, 4])
        let permuted = try tensor.permuted([2, 0, 1])
        #expect(permuted.shape == [4, 2, 3])
        #expect(!permuted.isContiguous)
        var expected: [Float] = []
        for k in 0..<4 { for i in 0..<2 { for j in 0..<3 { expected.append(numbers[(i * 3 + j) * 4 + k]) } } }
        #expect(permuted.floats() == expected)
        let slice = try tensor.sliced(1, 1..<3)
        #expect(slice.floats() == [4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23])
        #expect(try slice.reshaped([4, 4]).sliced(0, 2..<3).floats() == [16, 17, 18, 19])
        let row = try Tensor([Float(1), 2, 3], shape: [3, 1])
        #expect(try row.broadcast(to: [2, 3, 2]).floats() == [1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3])
    }

    @Test func impossibleViewsAreRefused() throws {
        let tensor = Tensor(zeros: [2, 3])
        #expect(throws: TensorError.notAPermutation(axes: [0, 0], rank: 2)) { try tensor.permuted([0, 0]) }
        #expect(throws: TensorError.axisOutOfRange(axis: 2, rank: 2)) { try tensor.sliced(2, 0..<1) }
        #expect(throws: TensorError.rangeOutOfBounds(range: 1..<4, axis: 1, extent: 3)) { try tensor.sliced(1, 1..<4) }
        #expect(throws: TensorError.shapeMismatch(from: [2, 3], to: [5])) { try tensor.reshaped([5]) }
        #expect(throws: TensorError.shapeMismatch(from: [2, 3], to: [2, 4])) { try tensor.broadcast(to: [2, 4]) }
        #expect(throws: TensorError.dtypeMismatch(expected: .float64, actual: .float32)) {
            try tensor.withUnsafeElements(Double.self) { $0.count }
        }
    }

    @Test func copiesAreIndependent() throws {
        let original = try Tensor([Float(1), 2, 3], shape: [3])
        var copy = original
        try copy.withUnsafeMutableElements(Float.self) { $0[0] = 9 }
        #expect(original.floats() == [1, 2, 3])
        #expect(copy.floats() == [9, 2, 3])
    }

    @Test func largeTensorsAreZeroAndWritable() throws {
        var tensor = Tensor(zeros: [3 << 20])
        #expect(tensor.floats().allSatisfy { $0 == 0 })
        try tensor.withUnsafeMutableElements(Float.self) { $0[$0.count - 1] = 5 }
        #expect(try tensor.sliced(0, (3 << 20) - 1..<3 << 20).floats() == [5])
    }

    @Test(arguments: [DType.float16, .bfloat16])
    func everyHalfRoundTrips(dtype: DType) throws {
        let bits = (0...UInt16.max).map { $0 }
        let plain = try SafetensorsFile.bytes([("x", try Tensor(bits, shape: [65536]))])
        let halves = try SafetensorsFile(bytes: plain.replacing("U16", with: dtype.rawValue)).tensor(named: "x")
        let values = halves.floats()
        let again = rawBits(halves.converted(to: .float32).converted(to: dtype))
        #expect(bits.indices.first { !values[$0].isNaN && bits[$0] != again[$0] } == nil)
        #expect(bits.indices.first { values[$0].isNaN && !halfIsNaN(again[$0], dtype) } == nil)
    }

    private static let roundings: [(Float, UInt16)] = [
        (1 + 0x1p-11, 0x3c00), (1 + 0x1.8p-10, 0x3c02), (1 + 0x1.004p-11, 0x3c01), (65519.996, 0x7bff), (65520, 0x7c00),
        (0x1p-25, 0x0000), (0x1.000002p-25, 0x0001), (0x1.8p-24, 0x0002), (-0.0, 0x8000), (-Float.infinity, 0xfc00),
        (0x1.ff8p-15, 0x03ff), (0x1.ffep-15, 0x0400),
    ]

    @Test(arguments: roundings)
    func halfRoundsToNearestEven(value: Float, expected: UInt16) throws {
        let half = try Tensor([value], shape: [1]).converted(to: .float16)
        #expect(rawBits(half) == [expected])
    }

    @Test func halfAgreesWithTheLanguage() throws {
        #if !(os(macOS) && arch(x86_64))
            var random = CounterRandom(seed: 3)
            let values = (0..<200_000).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: random.next())) }
                .filter { !$0.isNaN }
            let ours = rawBits(try Tensor(values, shape: [values.count]).converted(to: .float16))
            let mismatch = zip(values, ours).first { Float16($0.0).bitPattern != $0.1 }
            #expect(mismatch == nil)
            let doubles = values.map { Double($0) * 1.000_000_01 }
            let fromDouble = rawBits(try Tensor(doubles, shape: [doubles.count]).converted(to: .float16))
            #expect(zip(doubles, fromDouble).first { Float16($0.0).bitPattern != $0.1 } == nil)
        #endif
    }

    @Test func integersSaturate() throws {
        let tensor = try Tensor([Float(300), -300, .nan, 2.9, -2.9], shape: [5])
        #expect(try tensor.converted(to: .int8).integers() == [127, -128, 0, 2, -2])
        #expect(try tensor.converted(to: .uint8).integers() == [255, 0, 0, 2, 0])
        #expect(try tensor.converted(to: .bool).integers() == [1, 1, 1, 1, 1])
        #expect(throws: TensorError.dtypeMismatch(expected: .int64, actual: .float32)) { try tensor.integers() }
    }

    @Test func randomNumbersAreTheDocumentedStream() {
        // Computed from the published SplitMix64 with another implementation.
        #expect(CounterRandom.value(seed: 0, index: 0) == 0xE220_A839_7B1D_CDAF)
        #expect(CounterRandom.value(seed: 0, index: 1) == 0x6E78_9E6A_A1B9_65F4)
        let tensor = Tensor.random(uniform: [4], seed: 7)
        #expect(tensor.floats() == (0..<4).map { CounterRandom.uniform(seed: 7, index: $0) })
        #expect(tensor.floats().allSatisfy { $0 >= -1 && $0 < 1 })
    }

    @Test func descriptionSummarises() {
        #expect(Tensor(zeros: [2]).description == "F32 [2]: 0.0, 0.0")
        #expect(Tensor(zeros: [100]).description == "F32 [100]: 0.0, 0.0, 0.0, ..., 0.0, 0.0, 0.0")
    }
}

/// The sixteen bits of each element of a half-precision tensor.
private func rawBits(_ tensor: Tensor) -> [UInt16] {
    let bytes = (try? SafetensorsFile.bytes([("x", tensor)])) ?? []
    let data = bytes.suffix(tensor.count * 2)
    return stride(from: data.startIndex, to: data.endIndex, by: 2).map { UInt16(data[$0]) | UInt16(data[$0 + 1]) << 8 }
}

private func halfIsNaN(_ bits: UInt16, _ dtype: DType) -> Bool {
    bits & 0x7fff > (dtype == .float16 ? 0x7c00 : 0x7f80)
}

extension [UInt8] {
    /// Replaces a text by one that may be longer, keeping the header's length true.
    fileprivate func replacing(_ text: String, with other: String) -> [UInt8] {
        let length = Int(self[0]) | Int(self[1]) << 8
        var header = String(decoding: self[8..<8 + length], as: UTF8.self)
        if let range = header.firstRange(of: "\"\(text)\"") { header.replaceSubrange(range, with: "\"\(other)\"") }
        while header.utf8.count % 8 != 0 { header += " " }
        let count = header.utf8.count
        return [UInt8(count & 255), UInt8(count >> 8), 0, 0, 0, 0, 0, 0] + Array(header.utf8) + self[(8 + length)...]
    }
}
