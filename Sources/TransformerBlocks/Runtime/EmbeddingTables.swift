import Kernels
import TensorCore

/// A table of rows as it was stored: rows are converted when they are taken, so that a mapped file is not copied.
struct RowTable: Sendable {
    let table: Tensor
    let place: String
    /// What a row's number is called in messages.
    let operand: String
    let context: ComputeContext

    init(_ builder: NetworkBuilder, operand: String) throws(ModelError) {
        table = try builder.stored("weight").contiguous()
        place = builder.place
        self.operand = operand
        context = builder.context
        builder.ledger.weightBytes += table.count * table.dtype.byteWidth
    }

    /// Refuses numbers beyond the table.
    private func check(_ indices: [Int]) throws(ModelError) {
        let limit = table.shape[0]
        if let bad = indices.first(where: { $0 < 0 || $0 >= limit }) {
            throw .invalidInput(
                operand: "\(operand) at \(place)", expected: "a number from 0 to \(limit - 1)", actual: "\(bad)")
        }
    }

    /// The rows of the given numbers, times a factor.
    func gather(_ indices: [Int], scale: Float = 1) throws(ModelError) -> Tensor {
        try check(indices)
        return try ModelError.tensors(place) { () throws(TensorError) in
            try DenseLayers.gather(indices, from: table, scale: scale, context: context)
        }
    }

    /// Rows plus the rows of the given numbers.
    func add(_ indices: [Int], to rows: Tensor) throws(ModelError) -> Tensor {
        let summand = try gather(indices)
        return try ModelError.tensors(place) { () throws(TensorError) in
            try DenseLayers.add(rows, summand, context: context)
        }
    }
}

extension TokenEmbedding {
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer {
        Runner(table: try RowTable(builder, operand: "token"), scale: scale)
    }

    private struct Runner: RunnableLayer {
        let table: RowTable
        let scale: Float
        var isRowwise: Bool { false }

        func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
            try table.gather(run.batch.ids, scale: scale)
        }
    }
}

extension PositionEmbedding {
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer {
        Runner(table: try RowTable(builder, operand: "position"), offset: offset)
    }

    private struct Runner: RunnableLayer {
        let table: RowTable
        let offset: Int
        var isRowwise: Bool { false }

        func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
            let limit = table.table.shape[0] - offset
            for (index, (start, span)) in zip(run.batch.starts, run.batch.spans).enumerated()
            where start + span.count > limit {
                throw .invalidInput(
                    operand: "sequence \(index)", expected: "at most the \(limit) tokens of the position-embedding",
                    actual: "\(start + span.count) tokens long")
            }
            return try table.add(run.batch.positions.map { $0 + offset }, to: rows)
        }
    }
}

extension TokenTypeEmbedding {
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer {
        Runner(table: try RowTable(builder, operand: "token type"))
    }

    private struct Runner: RunnableLayer {
        let table: RowTable
        var isRowwise: Bool { false }

        func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
            try table.add(run.batch.typeIds, to: rows)
        }
    }
}
