import TensorCore

/// The extents of a paged problem beyond those of any other.
public struct PageLayout: Sendable, Hashable {
    /// Pages in the pool.
    public let pages: Int
    /// Keys of a page.
    public let pageSize: Int
    /// Query rows of all sequences, where they are one behind the other.
    public let rows: Int?

    /// A layout.
    public init(pages: Int, pageSize: Int, rows: Int? = nil) {
        self.pages = pages
        self.pageSize = pageSize
        self.rows = rows
    }
}

extension AttentionInputs {
    /// The same operands without pages: queries, keys and values padded to the longest sequence; itself without pages.
    ///
    /// Keys and values of absent pages are 0, as are those of the padding.
    /// What any operator and every reference can read. Cost: O(queries + keys) copies.
    public func gathered() -> AttentionInputs {
        guard let pages else { return self }
        var result = self
        result.pages = nil
        result.key = Self.gather(key, pages)
        result.value = Self.gather(value, pages)
        result.keyScales = keyScales.map { Self.gather($0, pages) }
        result.valueScales = valueScales.map { Self.gather($0, pages) }
        result.keyLengths = pages.keyLengths
        if let starts = pages.queryStarts, let lengths = pages.queryLengths {
            result.query = Self.padded(query, starts: starts, lengths: lengths)
            result.queryLengths = lengths
        }
        return result
    }

    /// `[pages, pageSize, ...]` to `[sequences, longest, ...]`.
    private static func gather(_ pool: Tensor, _ pages: PagedKeys) -> Tensor {
        let dense = pool.contiguous()
        let inner = Array(dense.shape.dimensions.dropFirst(2))
        let rowBytes = inner.reduce(1, *) * dense.dtype.byteWidth
        let longest = pages.keyLengths.max() ?? 0
        let result = Tensor(zeros: Shape([pages.sequences, longest] + inner), dtype: dense.dtype)
        let target = result.freshMutableAddress
        withExtendedLifetime(dense) {
            for (sequence, length) in pages.keyLengths.enumerated() {
                for (index, page) in pages.blockTables[sequence].enumerated()
                where page != PagedKeys.absentPage && index * pages.pageSize < length {
                    let first = index * pages.pageSize
                    (target + (sequence * longest + first) * rowBytes).copyMemory(
                        from: dense.baseAddress + page * pages.pageSize * rowBytes,
                        byteCount: min(pages.pageSize, length - first) * rowBytes)
                }
            }
        }
        return result
    }

    private static func padded(_ query: Tensor, starts: [Int], lengths: [Int]) -> Tensor {
        let dense = query.contiguous()
        let rowBytes = dense.shape[2] * dense.shape[3] * dense.dtype.byteWidth
        let longest = lengths.max() ?? 0
        let result = Tensor(zeros: [lengths.count, longest, dense.shape[2], dense.shape[3]], dtype: dense.dtype)
        let target = result.freshMutableAddress
        withExtendedLifetime(dense) {
            for (sequence, length) in lengths.enumerated() where length > 0 {
                (target + sequence * longest * rowBytes).copyMemory(
                    from: dense.baseAddress + starts[sequence] * rowBytes, byteCount: length * rowBytes)
            }
        }
        return result
    }
}

extension AttentionOutput {
    /// A result of ``AttentionInputs/gathered()`` in the form that the operands with pages have.
    public func ungathered(for pages: PagedKeys?) -> AttentionOutput {
        guard let starts = pages?.queryStarts, let rows = starts.last else { return self }
        let shape = output.shape
        let result = Tensor(zeros: [1, rows, shape[2], shape[3]], dtype: output.dtype)
        let rowBytes = shape[2] * shape[3] * output.dtype.byteWidth
        let dense = output.contiguous()
        withExtendedLifetime(dense) {
            for sequence in 0..<shape[0] where starts[sequence + 1] > starts[sequence] {
                (result.freshMutableAddress + starts[sequence] * rowBytes).copyMemory(
                    from: dense.baseAddress + sequence * shape[1] * rowBytes,
                    byteCount: (starts[sequence + 1] - starts[sequence]) * rowBytes)
            }
        }
        return AttentionOutput(output: result, logSumExp: logSumExp.map { Self.ungather($0, starts, rows) })
    }

    /// `[sequences, heads, longest]` to `[1, heads, rows]`.
    private static func ungather(_ logSumExp: Tensor, _ starts: [Int], _ rows: Int) -> Tensor {
        let (sequences, heads, longest) = (logSumExp.shape[0], logSumExp.shape[1], logSumExp.shape[2])
        let result = Tensor(zeros: [1, heads, rows], dtype: logSumExp.dtype)
        let width = logSumExp.dtype.byteWidth
        let dense = logSumExp.contiguous()
        withExtendedLifetime(dense) {
            for sequence in 0..<sequences where starts[sequence + 1] > starts[sequence] {
                for head in 0..<heads {
                    (result.freshMutableAddress + (head * rows + starts[sequence]) * width).copyMemory(
                        from: dense.baseAddress + (sequence * heads + head) * longest * width,
                        byteCount: (starts[sequence + 1] - starts[sequence]) * width)
                }
            }
        }
        return result
    }
}
