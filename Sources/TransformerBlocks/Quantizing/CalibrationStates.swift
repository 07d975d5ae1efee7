import Kernels
import TensorCore

/// The rows of every calibration sequence where the chain of blocks has got to.
struct CalibrationStates {
    /// Tokens that run together: enough for the products to be quick, few enough for what a block needs beside its weights
    /// to stay small.
    static let batchTokens = 2048

    let batches: [RaggedBatch]
    /// `[tokens, width]` for each batch.
    private(set) var rows: [Tensor]

    /// Whether there is no calibration text.
    var isEmpty: Bool { batches.isEmpty }
    /// Tokens of all sequences.
    var tokens: Int { batches.reduce(0) { $0 + $1.ids.count } }

    /// The rows that go into the first block.
    init(_ sequences: [[Int]], _ blocks: DecoderBlocks) throws(ModelError) {
        var groups: [[[Int]]] = []
        var count = 0
        for sequence in sequences {
            if groups.isEmpty || count + sequence.count > Self.batchTokens {
                groups.append([])
                count = 0
            }
            groups[groups.count - 1].append(sequence)
            count += sequence.count
        }
        var batches: [RaggedBatch] = []
        var rows: [Tensor] = []
        for group in groups {
            let batch = try RaggedBatch(group)
            batches.append(batch)
            rows.append(try blocks.embedded(batch))
        }
        self.batches = batches
        self.rows = rows
    }

    /// Runs all sequences through a part.
    mutating func advance(_ runner: PartRunner) throws(ModelError) {
        for (index, batch) in batches.enumerated() { rows[index] = try runner(rows[index], batch) }
    }

    /// Runs all sequences through a part and shows what goes into its products.
    /// - Parameter sees: the step's number, and the rows that go into its products.
    func observe(
        _ runner: PartRunner, sees: (_ step: Int, _ rows: Tensor) throws(ModelError) -> Void
    ) throws(ModelError) {
        for (index, batch) in batches.enumerated() {
            var inputs: [Tensor] = []
            // The products of a part run in the order of its steps.
            _ = try runner(rows[index], batch) { rows, _ in inputs.append(rows) }
            for (step, rows) in inputs.enumerated() { try sees(step, rows) }
        }
    }
}
