import AttentionCore
import TensorCore
import Testing

@Suite struct PagedKeysTests {
    @Test func absentPagesAreGatheredAsZeros() throws {
        // Two pages of two keys; page 0 belongs to somebody else.
        let pool = try Tensor([Float.nan, .nan, 5, 6, 7, 8], shape: [3, 2, 1, 1])
        let query = try Tensor([Float(1)], shape: [1, 1, 1, 1])
        var inputs = AttentionInputs(query: query, key: pool, value: pool)
        inputs.pages = try PagedKeys(
            pageSize: 2, blockTables: [[PagedKeys.absentPage, 2, 1]], keyLengths: [5])
        let gathered = inputs.gathered()
        #expect(gathered.pages == nil && gathered.keyLengths == [5])
        #expect(gathered.key.floats() == [0, 0, 7, 8, 5])
        #expect(gathered.value.floats() == [0, 0, 7, 8, 5])
    }
}
