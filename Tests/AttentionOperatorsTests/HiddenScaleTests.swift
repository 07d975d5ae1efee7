import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// Scales of INT8 keys that no query sees may be anything: a cache does not clear them.
@Suite struct HiddenScaleTests {
    static let ids = OperatorRegistry.builtIn.entries.map(\.id).filter {
        (try? OperatorRegistry.builtIn[$0].capabilities.features.contains(.int8Keys)) == true
    }

    private static let keys = 70

    /// Two sequences with grouped heads; one query, few, and more than a tile.
    private static func inputs(queries: Int) -> AttentionInputs {
        var attentionCase = AttentionCase("hidden-scales", queryLength: queries, keyLength: keys, headDim: 20)
        attentionCase.batch = 2
        attentionCase.heads = 4
        attentionCase.kvHeads = 2
        return attentionCase.inputs().quantizingKeys
    }

    /// Other scales for some keys, for keys themselves, for values or both.
    private static func poisoned(
        _ inputs: AttentionInputs, _ keys: some Sequence<Int>, _ number: Float, keyScales: Bool = true,
        valueScales: Bool = true
    ) throws -> AttentionInputs {
        var result = inputs
        func poison(_ scales: Tensor?) throws -> Tensor? {
            guard let scales else { return nil }
            var numbers = scales.floats()
            let (rows, heads) = (scales.shape[1], scales.shape[2])
            for batch in 0..<scales.shape[0] {
                for key in keys {
                    for head in 0..<heads { numbers[(batch * rows + key) * heads + head] = number }
                }
            }
            return try Tensor(numbers, shape: scales.shape)
        }
        if keyScales { result.keyScales = try poison(result.keyScales) }
        if valueScales { result.valueScales = try poison(result.valueScales) }
        return result
    }

    @Test func streamingOperatorsReadBytes() {
        #expect(Set(["flash", "grouped-query", "memory-efficient", "paged"]).isSubset(of: Self.ids))
    }

    @Test(arguments: ids, ComputeContext.availableISAs)
    func hiddenScalesDoNotReachTheOutput(id: String, isa: String) throws {
        let context = try ComputeContext(threads: 2, isa: isa)
        let attention = try OperatorRegistry.builtIn[id]
        for queries in [1, 3, 40] {
            let plain = Self.inputs(queries: queries)
            var padded = plain
            padded.keyLengths = [50, 50]
            var masked = plain
            masked.mask = try Tensor((0..<Self.keys).map { !(10..<20).contains($0) }, shape: [1, 1, 1, Self.keys])
            // `local` wants a window in every case.
            let wide = AttentionMask.window(left: 1000, right: 1000)
            let cases: [(inputs: AttentionInputs, mask: AttentionMask, hidden: Range<Int>)] = [
                (padded, wide, 50..<Self.keys), (masked, wide, 10..<20),
                (plain, .window(left: 8, right: 0), 0..<Self.keys - queries - 8),
                (plain, .window(left: 1000, right: 0, corner: .topLeft), queries..<Self.keys),
            ]
            for (number, (inputs, mask, hidden)) in cases.enumerated() {
                let options = AttentionOptions(mask: mask)
                let expected = try attention.forward(inputs, options: options, context: context)
                #expect(expected.output.floats().allSatisfy { $0.isFinite })
                for bad: Float in [.nan, .infinity] {
                    let result = try attention.forward(
                        Self.poisoned(inputs, hidden, bad), options: options, context: context)
                    #expect(
                        result.output.bitwiseEquals(expected.output),
                        "\(id) \(isa): case \(number), \(queries) queries, \(bad)")
                }
            }
        }
    }

    @Test(arguments: ids, ComputeContext.availableISAs)
    func whoSeesAKeyThatIsNoNumberGetsNaNAndNobodyElse(id: String, isa: String) throws {
        let context = try ComputeContext(threads: 2, isa: isa)
        let attention = try OperatorRegistry.builtIn[id]
        let options = AttentionOptions(mask: .window(left: 1000, right: 0))
        for queries in [1, 3, 40] {
            var inputs = Self.inputs(queries: queries)
            // The last key, as a cache stores what bytes cannot hold: no bytes, and a scale that says so.
            var bytes = try inputs.key.integers().map { Int8($0) }
            let row = inputs.key.shape[2] * inputs.key.shape[3]
            for batch in 1...2 {
                for cell in (batch * Self.keys - 1) * row..<batch * Self.keys * row { bytes[cell] = 0 }
            }
            inputs.key = try Tensor(bytes, shape: inputs.key.shape)
            let expected = try attention.forward(inputs, options: options, context: context).output
            for (keyScales, valueScales) in [(true, false), (false, true), (true, true)] {
                let poisoned = try Self.poisoned(
                    inputs, [Self.keys - 1], .nan, keyScales: keyScales, valueScales: valueScales)
                let output = try attention.forward(poisoned, options: options, context: context).output
                let before = try (output.sliced(1, 0..<queries - 1), expected.sliced(1, 0..<queries - 1))
                #expect(before.0.contiguous().bitwiseEquals(before.1.contiguous()), "\(id) \(isa): \(queries) queries")
                let last = try output.sliced(1, queries - 1..<queries).floats()
                #expect(last.allSatisfy { $0.isNaN }, "\(id) \(isa): \(queries) queries")
            }
        }
    }

    @Test(arguments: ComputeContext.availableISAs)
    func slotsThatStandForAbsentPagesAreNotRead(isa: String) throws {
        let context = try ComputeContext(threads: 2, isa: isa)
        let paged = try OperatorRegistry.builtIn["paged"]
        let options = AttentionOptions(mask: .window(left: 9, right: 0))
        for queries in [1, 40] {
            var inputs = Self.inputs(queries: queries)
            let expected = try paged.forward(inputs, options: options, context: context).output
            // Pages of seven keys of both sequences behind a page 0 that was never written.
            let (size, pages) = (7, Self.keys / 7)
            func pool(_ tensor: Tensor?, filler: Double) throws -> Tensor? {
                guard let tensor else { return nil }
                let inner = Array(tensor.shape.dimensions.dropFirst(2))
                let numbers = [Double](repeating: filler, count: size * inner.reduce(1, *)) + tensor.doubles()
                return try Tensor(numbers, shape: Shape([1 + 2 * pages, size] + inner)).converted(to: tensor.dtype)
            }
            inputs.key = try #require(try pool(inputs.key, filler: 77))
            inputs.value = try #require(try pool(inputs.value, filler: 77))
            inputs.keyScales = try pool(inputs.keyScales, filler: .nan)
            inputs.valueScales = try pool(inputs.valueScales, filler: .nan)
            let absent = (Self.keys - queries - 9) / size
            let tables = (0..<2).map { sequence in
                (0..<pages).map { $0 < absent ? PagedKeys.absentPage : 1 + sequence * pages + $0 }
            }
            inputs.pages = try PagedKeys(
                pageSize: size, blockTables: tables, keyLengths: [Self.keys, Self.keys])
            #expect(absent > 0)
            #expect(try paged.forward(inputs, options: options, context: context).output.bitwiseEquals(expected))
        }
    }
}
