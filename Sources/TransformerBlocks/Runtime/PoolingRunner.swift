import TensorCore

/// One row for each sequence.
struct PoolingRunner: RunnableLayer {
    let modes: [Pooling.Mode]
    let place: String
    var isRowwise: Bool { false }

    func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
        let width = rows.shape[1]
        let spans = run.batch.spans
        let result = Tensor(zeros: [spans.count, width * modes.count])
        let target = result.freshMutableAddress.assumingMemoryBound(to: Float.self)
        try ModelError.tensors(place) { () throws(TensorError) in
            try rows.withUnsafeElements(Float.self) { source in
                for (sequence, span) in spans.enumerated() {
                    for (place, mode) in modes.enumerated() {
                        let cells = UnsafeMutableBufferPointer(
                            start: target + (sequence * modes.count + place) * width, count: width)
                        Self.pool(source, span, mode, into: cells)
                    }
                }
            }
        }
        return result
    }

    /// Rows are taken in order, so the bits do not depend on anything else.
    private static func pool(
        _ source: UnsafeBufferPointer<Float>, _ span: Range<Int>, _ mode: Pooling.Mode,
        into cells: UnsafeMutableBufferPointer<Float>
    ) {
        let width = cells.count
        for column in 0..<width { cells[column] = source[span.lowerBound * width + column] }
        guard mode != .cls else { return }
        for row in span.dropFirst() {
            for column in 0..<width {
                let value = source[row * width + column]
                cells[column] = mode == .mean ? cells[column] + value : max(cells[column], value)
            }
        }
        if mode == .mean {
            for column in 0..<width { cells[column] /= Float(span.count) }
        }
    }
}

extension Pooling {
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer {
        PoolingRunner(modes: modes, place: builder.place)
    }
}

extension Normalize {
    func build(_ builder: NetworkBuilder) throws(ModelError) -> any RunnableLayer { Runner(place: builder.place) }

    private struct Runner: RunnableLayer {
        let place: String

        /// As in PyTorch's `normalize`: shorter rows are scaled as if they were this long.
        private static let shortest: Double = 1e-12

        func run(_ rows: Tensor, _ run: ForwardRun) throws(ModelError) -> Tensor {
            var result = rows
            let width = rows.shape[1]
            try ModelError.tensors(place) { () throws(TensorError) in
                try result.withUnsafeMutableElements(Float.self) { cells in
                    for start in stride(from: 0, to: cells.count, by: max(1, width)) {
                        let row = start..<start + width
                        let squares = row.reduce(0.0) { $0 + Double(cells[$1]) * Double(cells[$1]) }
                        let length = Float(max(squares.squareRoot(), Self.shortest))
                        for index in row { cells[index] /= length }
                    }
                }
            }
            return result
        }
    }
}
