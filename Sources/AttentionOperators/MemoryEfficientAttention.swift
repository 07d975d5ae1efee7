public import AttentionCore
public import Kernels

/// Self-attention without O(n²) memory (Rabe and Staats, 2021).
///
/// Queries are taken in chunks, keys in chunks of about the square root of their number. Each key chunk is summarised on
/// its own (weighted values, denominator, maximum), then merged into the running summary:
///
///     m = max(m1, m2);  l = 2^(m1 - m) l1 + 2^(m2 - m) l2;  v likewise
///
/// Cost: 4 · heads · visible pairs · headDim operations; working memory O(sqrt L) for each thread.
public struct MemoryEfficientAttention: TiledOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Keys of one chunk; `nil` takes the square root of the number of keys.
        public var keyChunk: Int?
        /// Queries of one chunk; `nil` takes the square root of their number, and at least 112.
        public var queryChunk: Int?

        /// Chunks of the square root of the length.
        public init() {}

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription("keyChunk", "keys of one chunk, from 1 to 512", default: "sqrt(keyLength)"),
                OptionDescription("queryChunk", "queries of one chunk, from 1 to 4096", default: "sqrt(queryLength)"),
            ]
        }
    }

    /// Everything the tiled kernels honour.
    public static let capabilities = AttentionCapabilities.tiled(workingMemory: "O(sqrt L)", arithmetic: "O(L^2)")

    /// For people who choose.
    public static let guide = OperatorGuide(
        maths: """
            for each chunk c of about sqrt(n) keys:
                m_c = max S_c;   l_c = Σ exp(S_c - m_c);   v_c = exp(S_c - m_c) V_c
            m = max(m, m_c);   l, v = exp(m_old - m) (l, v) + exp(m_c - m) (l_c, v_c)
            O = v / l;   L = m + log l
            """,
        choose: """
            When memory is what is short and flash is not to be had: chunks of the square root of the length keep the \
            peak lowest at short lengths. It is a little slower than flash, which keeps its queries in the caches and \
            merges more cheaply; for everything else take flash.
            """,
        limits: """
            A summary for each chunk is written and merged again, which costs a few per cent over flash. More chunks \
            mean more merges: very small chunk sizes are slow.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Checks the chunks.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        if let keys = configuration.keyChunk, !(1...TileSizes.maximumKeys).contains(keys) {
            throw .invalidOption(name: "keyChunk", expected: "from 1 to \(TileSizes.maximumKeys)", actual: "\(keys)")
        }
        if let rows = configuration.queryChunk, !(1...4096).contains(rows) {
            throw .invalidOption(name: "queryChunk", expected: "from 1 to 4096", actual: "\(rows)")
        }
        self.configuration = configuration
    }

    /// One task for each head and chunk of queries.
    public func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        let keys = (0..<problem.batch).map { keyChunk(problem, sequence: $0, context) }.max() ?? 1
        let rows =
            configuration.queryChunk
            ?? max(
                8 * context.kernels.tileRows, squareRoot(problem.queryLength).roundedUp(to: context.kernels.tileRows))
        return .fitting(context, rows: rows, unit: context.kernels.tileRows) { rows, context in
            let sizes = TileSizes(rows: rows, keys: keys)
            let layout = BlockScratch(problem, sizes: sizes, sharesHeads: false, context: context)
            return .tiled(
                problem, sizes: sizes, sharing: false, scratchFloats: scratchFloats(layout),
                context: context, packsOnce: true)
        }
    }

    /// Runs the tasks.
    /// - Throws: ``AttentionCore/AttentionError`` when bias or mask do not broadcast.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let problem = plan.problem
        let tiled = try TiledAttention(inputs, plan: plan, sharesHeads: false, context: context)
        let layout = tiled.layout
        let blocks = tiled.joiningHeads(RowBlock.cut(problem, rows: plan.queryTile, sharing: false)) { _ in 1 }
        let writer = OutputWriter(problem, sinks: inputs.sinks)
        let chunks = (0..<problem.batch).map { keyChunk(problem, sequence: $0, context) }
        let scratchFloats = scratchFloats(layout)
        tiled.withPackedKeys(blocks) { blocks, packed in
            context.parallel(blocks.count, scratchFloats: scratchFloats) { index, scratch in
                let rows = blocks[index]
                let total = layout.state(scratch)
                total.reset(rows: rows.rows)
                tiled.prepareQueries(rows, scratch)
                summarise(rows, chunk: chunks[rows.batch], tiled, packed, into: total, scratch)
                writer.write(rows, total, kernels: context.kernels)
            }
        }
        return writer.result
    }

    /// Summarises each chunk of keys on its own and merges it into the running summary.
    private func summarise(
        _ rows: RowBlock, chunk: Int, _ tiled: TiledAttention, _ packed: PackedSequence?, into total: RowState,
        _ scratch: UnsafeMutablePointer<Float>
    ) {
        let visible = tiled.visibleKeys(rows)
        let layout = tiled.layout
        var part = total
        part.output = scratch + layout.total
        part.rowMax = part.output + layout.rows * layout.outputStride
        part.rowSum = part.rowMax + layout.rows
        for start in stride(from: visible.aligned(to: chunk).lowerBound, to: visible.upperBound, by: chunk) {
            part.reset(rows: rows.rows)
            let keys = start..<min(start + chunk, visible.upperBound)
            tiled.attend(rows, keys: keys, state: part, scratch, packed: packed)
            tiled.context.kernels.merge(
                part, into: total, rows: rows.rows, valueDim: tiled.problem.valueDim,
                factors: part.rowSum + layout.rows)
        }
    }

    private func scratchFloats(_ layout: BlockScratch) -> Int {
        // The second summary, and two factors for each row of a merge.
        layout.total + layout.rows * (layout.outputStride + 4)
    }

    /// The square root of a sequence's own length, so that padding and batch company do not change a result.
    private func keyChunk(_ problem: AttentionProblem, sequence: Int, _ context: ComputeContext) -> Int {
        let wanted = configuration.keyChunk ?? max(64, squareRoot(problem.geometry(sequence).keyLength))
        return min(TileSizes.maximumKeys, wanted.roundedUp(to: context.kernels.panelWidth))
    }

    private func squareRoot(_ length: Int) -> Int { Int(Double(max(1, length)).squareRoot().rounded(.up)) }
}
