import AttentionCore
import Kernels
package import TensorCore
package import TransformerBlocks

/// Keys and values of all layers in pages, and the attention to them.
///
/// One pass at a time: ``begin(_:)`` says where the rows of the next pass go.
package final class PagedStore: KeyValueStore, @unchecked Sendable {
    /// What the pages hold.
    package let shape: CacheShape
    private let keys: [RowPool]
    private let values: [RowPool]
    private let swap: SwapSpace?
    /// Where the rows of the pass lie.
    private var pages: PagedKeys?
    /// The slot of every row of the pass.
    private var slots: [Int] = []
    /// Sequences of the pass that have one new row.
    private var decoding: [Bool] = []
    let operators: CacheOperators

    /// Tokens whose pages are taken from the system at once, and the most bytes of them: a system gives memory when it is
    /// first written, and the first requests should not wait for it.
    private static let earlyTokens = 4096
    private static let mostEarlyBytes = 128 << 20
    /// The smallest pages of memory that systems give.
    private static let systemPage = 4096

    /// Pages for so many tokens, and room for so many swapped ones.
    ///
    /// Of the memory of other pages than the first few none is taken from the system before it is written.
    /// - Throws: ``EngineError/swapSpace(directory:bytes:reason:)``.
    package init(
        _ shape: CacheShape, pageCount: Int, swapPageCount: Int = 0, swapDirectory: String? = nil,
        operators: CacheOperators = CacheOperators()
    ) throws(EngineError) {
        self.shape = shape
        self.operators = operators
        keys = shape.layers.map { RowPool(shape, $0, pageCount: pageCount) }
        values = shape.layers.map { RowPool(shape, $0, pageCount: pageCount) }
        swap =
            swapPageCount == 0
            ? nil : try SwapSpace(byteCount: swapPageCount * shape.pageBytes, directory: swapDirectory)
        takeFirst(min(pageCount, Self.earlyTokens / shape.pageSize, Self.mostEarlyBytes / max(1, shape.pageBytes)))
    }

    /// Writes something to the memory of the first pages, whose contents are not defined yet.
    private func takeFirst(_ pages: Int) {
        for part in (keys + values).flatMap(\.parts) {
            for byte in stride(from: 0, to: pages * part.bytes, by: Self.systemPage) {
                part.base.storeBytes(of: 0, toByteOffset: byte, as: UInt8.self)
            }
        }
    }

    /// Carries out moves of pages, in order.
    ///
    /// Cost: O(bytes of the pages).
    package func carryOut(_ transfers: [PageTransfer]) {
        if transfers.isEmpty { return }
        let parts = (keys + values).flatMap(\.parts)
        for transfer in transfers {
            var offset = 0
            for part in parts {
                let (base, bytes) = (part.base, part.bytes)
                switch transfer {
                case .copy(let source, let target):
                    (base + target * bytes).copyMemory(from: base + source * bytes, byteCount: bytes)
                case .swapOut(let page, let swapPage):
                    swap.map { $0.base + swapPage * shape.pageBytes + offset }?
                        .copyMemory(from: base + page * bytes, byteCount: bytes)
                case .swapIn(let swapPage, let page):
                    guard let swap else { continue }
                    (base + page * bytes).copyMemory(
                        from: swap.base + swapPage * shape.pageBytes + offset, byteCount: bytes)
                }
                offset += bytes
            }
        }
    }

    /// Says where the rows of the next pass lie.
    /// - Throws: ``TransformerBlocks/ModelError`` when tables are too short.
    package func begin(_ sequences: [ScheduledSequence]) throws(ModelError) {
        var starts = [0]
        for sequence in sequences { starts.append((starts.last ?? 0) + sequence.tokens.count) }
        pages = try ModelError.attention(at: "the cache") { () throws(AttentionError) in
            try PagedKeys(
                pageSize: shape.pageSize, blockTables: sequences.map(\.pageTable),
                keyLengths: sequences.map { $0.start + $0.tokens.count }, queryStarts: starts)
        }
        let size = shape.pageSize
        slots = sequences.flatMap { sequence in
            (sequence.start..<sequence.start + sequence.tokens.count).map {
                sequence.pageTable[$0 / size] * size + $0 % size
            }
        }
        decoding = sequences.map { $0.tokens.count == 1 && $0.start > 0 }
    }

    /// Writes the new rows to their slots, and attends to the pages.
    /// - Throws: ``TransformerBlocks/ModelError``: attention that the operator cannot run.
    package func attend(_ call: StoredAttentionCall) throws(ModelError) -> Tensor {
        guard let pages, call.query.shape[0] == slots.count, call.layer < keys.count else {
            throw .invalidInput(
                operand: "the pass at \(call.place)", expected: "\(slots.count) rows of the step",
                actual: "\(call.query.shape[0])")
        }
        let (key, value) = (keys[call.layer], values[call.layer])
        key.write(call.key, slots: slots, call.context.kernels)
        value.write(call.value, slots: slots, call.context.kernels)
        let output = try ModelError.attention(at: call.place) { () throws(AttentionError) in
            let query = try AttentionError.views("query") { () throws(TensorError) in
                try call.query.broadcast(to: Shape([1] + call.query.shape.dimensions))
            }
            // Products are F32; an operator reads queries of the keys' type, or F32 beside INT8.
            let inputs = AttentionInputs(
                query: shape.queryDType == .float32 ? query : query.converted(to: shape.queryDType), key: key.rows,
                value: value.rows, keyScales: key.scales, valueScales: value.scales, pages: pages)
            return try operators.attend(inputs, call, decoding: decoding)
        }
        return try ModelError.tensors(call.place) { () throws(TensorError) in
            try output.converted(to: .float32).reshaped([slots.count, call.query.shape[1] * call.query.shape[2]])
        }
    }
}

extension AttentionError {
    /// Calls `body` and reports its failure as that of an operand.
    static func views<Result>(
        _ operand: String, _ body: () throws(TensorError) -> Result
    ) throws(AttentionError) -> Result {
        do {
            return try body()
        } catch {
            throw .tensor(operand: operand, reason: error.description)
        }
    }
}
