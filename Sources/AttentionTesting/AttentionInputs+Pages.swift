public import AttentionCore
import TensorCore

extension AttentionInputs {
    /// The same operands with keys and values scattered over pages in a random order; what no sequence owns is NaN.
    ///
    /// Cost: O(their size).
    /// - Parameters:
    ///   - pageSize: keys of a page.
    ///   - seed: of the order of the pages.
    ///   - isRagged: whether queries stand one behind the other, without padding.
    ///   - sharing: sequences that use the pages of another one, by their number: those must hold the same keys.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func paged(
        pageSize: Int, seed: UInt64, isRagged: Bool = false, sharing: [Int: Int] = [:]
    ) throws(AttentionError) -> AttentionInputs {
        let batch = key.shape[0]
        let lengths = keyLengths ?? [Int](repeating: key.shape[1], count: batch)
        var tables: [[Int]] = []
        // Two pages more than are needed, so that some belong to nobody.
        var order = Array(0..<lengths.reduce(2) { $0 + ($1 + pageSize - 1) / pageSize })
        var random = CounterRandom(seed: seed)
        order.shuffle(using: &random)
        let pages = order.count
        for (sequence, length) in lengths.enumerated() {
            let needed = (length + pageSize - 1) / pageSize
            if let owner = sharing[sequence], owner < sequence {
                // Full pages are shared, the rest is the sequence's own.
                let common = min(length / pageSize, tables[owner].count)
                tables.append(Array(tables[owner].prefix(common)))
            } else {
                tables.append([])
            }
            while tables[sequence].count < needed { tables[sequence].append(order.removeLast()) }
        }
        var starts: [Int]?
        var result = self
        if isRagged {
            let counts = queryLengths ?? [Int](repeating: query.shape[1], count: batch)
            starts = counts.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) }
            result.query = Self.ragged(query, counts)
            result.queryLengths = nil
        }
        let paging = try PagedKeys(pageSize: pageSize, blockTables: tables, keyLengths: lengths, queryStarts: starts)
        result.key = Self.scatter(key, paging, pages: pages)
        result.value = Self.scatter(value, paging, pages: pages)
        result.keyScales = keyScales.map { Self.scatter($0, paging, pages: pages) }
        result.valueScales = valueScales.map { Self.scatter($0, paging, pages: pages) }
        result.keyLengths = nil
        result.pages = paging
        return result
    }

    private static func scatter(_ tensor: Tensor, _ paging: PagedKeys, pages: Int) -> Tensor {
        let inner = Array(tensor.shape.dimensions.dropFirst(2))
        let width = inner.reduce(1, *)
        let filler = tensor.dtype == .int8 ? 77 : Double.nan
        var cells = [Double](repeating: filler, count: pages * paging.pageSize * width)
        let numbers = tensor.doubles()
        for (sequence, length) in paging.keyLengths.enumerated() {
            for index in 0..<length {
                let slot =
                    paging.blockTables[sequence][index / paging.pageSize] * paging.pageSize
                    + index % paging.pageSize
                let source = (sequence * tensor.shape[1] + index) * width
                for cell in 0..<width { cells[slot * width + cell] = numbers[source + cell] }
            }
        }
        let shape = Shape([pages, paging.pageSize] + inner)
        return ((try? Tensor(cells, shape: shape)) ?? Tensor(zeros: shape, dtype: .float64)).converted(to: tensor.dtype)
    }

    private static func ragged(_ query: Tensor, _ counts: [Int]) -> Tensor {
        let numbers = query.doubles()
        let width = query.shape[2] * query.shape[3]
        var rows: [Double] = []
        for (sequence, count) in counts.enumerated() {
            let start = sequence * query.shape[1] * width
            rows += numbers[start..<start + count * width]
        }
        let shape = Shape([1, counts.reduce(0, +), query.shape[2], query.shape[3]])
        return ((try? Tensor(rows, shape: shape)) ?? Tensor(zeros: shape, dtype: .float64)).converted(to: query.dtype)
    }
}
