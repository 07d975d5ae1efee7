import Kernels
import TensorCore

/// A convolution of each channel by itself on a grid of positions, zeros beyond the edges:
/// `y[r, c] = bias + Σ w[i, j] x[r + d (i - m), c + d (j - m)]`, with `m` the middle of the kernel and `d` the dilation.
struct DepthwiseConvolution: Sendable {
    let rows: Int
    let columns: Int
    let channels: Int
    /// Side of the kernel, odd.
    let side: Int
    let dilation: Int

    /// Weights of all channels, tap by tap: `[side · side][channels]`.
    ///
    /// - Parameter weights: `[channels, side, side]`, dense.
    /// - Parameter isMirrored: whether the kernel is turned by half a circle, which makes the adjoint.
    func taps(_ weights: Tensor, isMirrored: Bool = false) -> Tensor {
        let numbers = weights.floats()
        let count = side * side
        let result = Tensor(zeros: [count * channels])
        let cells = result.freshFloats
        for channel in 0..<channels {
            for tap in 0..<count {
                cells[(isMirrored ? count - 1 - tap : tap) * channels + channel] = numbers[channel * count + tap]
            }
        }
        return result
    }

    /// Computes a whole grid, row by row on every thread; `target` is overwritten.
    func run(
        _ source: UnsafePointer<Float>, taps: Tensor, bias: Tensor?, to target: UnsafeMutablePointer<Float>,
        context: ComputeContext
    ) {
        let cells = SendablePointer((source, target, taps.freshFloats))
        let start = bias.map { $0.floats() } ?? [Float](repeating: 0, count: channels)
        context.parallel(rows) { row, _ in
            let (x, y, w) = cells.base
            for column in 0..<columns {
                let sum = y + (row * columns + column) * channels
                for channel in 0..<channels { sum[channel] = start[channel] }
                for tap in 0..<side * side {
                    guard let other = neighbour(row, column, tap) else { continue }
                    context.kernels.multiplyAdd(sum, x + other * channels, w + tap * channels, count: channels)
                }
            }
        }
        withExtendedLifetime(taps) {}
    }

    /// Adds the derivatives by the weights, `[side · side][channels]`, one tap on each thread.
    func addWeightGradient(
        _ source: UnsafePointer<Float>, _ gradient: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>,
        context: ComputeContext
    ) {
        let cells = SendablePointer((source, gradient, target))
        context.parallel(side * side) { tap, _ in
            let (x, dy, dw) = cells.base
            for row in 0..<rows {
                for column in 0..<columns {
                    guard let other = neighbour(row, column, tap) else { continue }
                    context.kernels.multiplyAdd(
                        dw + tap * channels, x + other * channels, dy + (row * columns + column) * channels,
                        count: channels)
                }
            }
        }
    }

    /// The position that a tap reads, where there is one.
    func neighbour(_ row: Int, _ column: Int, _ tap: Int) -> Int? {
        let y = row + dilation * (tap / side - side / 2)
        let x = column + dilation * (tap % side - side / 2)
        return (0..<rows).contains(y) && (0..<columns).contains(x) ? y * columns + x : nil
    }
}

/// The same convolution in any arithmetic, loop by loop.
struct PlainConvolution<Number: MixingNumber> {
    let shape: DepthwiseConvolution
    /// `[channels, side, side]`.
    let weights: [Number]
    let bias: [Number]

    func run(_ x: PlainMatrix<Number>) -> PlainMatrix<Number> {
        var result = PlainMatrix<Number>(rows: x.rows, columns: x.columns) { bias[$1] }
        each(x.rows) { position, other, tap in
            for channel in 0..<x.columns {
                result[position, channel] += weight(channel, tap) * x[other, channel]
            }
        }
        return result
    }

    /// Derivatives by input and weights.
    func backward(
        _ x: PlainMatrix<Number>, _ gradient: PlainMatrix<Number>
    ) -> (input: PlainMatrix<Number>, weights: [Number], bias: [Number]) {
        var input = PlainMatrix<Number>(rows: x.rows, columns: x.columns)
        var byWeights = [Number](repeating: 0, count: weights.count)
        var byBias = [Number](repeating: 0, count: bias.count)
        for position in 0..<x.rows { for channel in bias.indices { byBias[channel] += gradient[position, channel] } }
        let count = shape.side * shape.side
        each(x.rows) { position, other, tap in
            for channel in 0..<x.columns {
                input[other, channel] += weight(channel, tap) * gradient[position, channel]
                byWeights[channel * count + tap] += x[other, channel] * gradient[position, channel]
            }
        }
        return (input, byWeights, byBias)
    }

    private func weight(_ channel: Int, _ tap: Int) -> Number { weights[channel * shape.side * shape.side + tap] }

    private func each(_ positions: Int, _ body: (_ position: Int, _ other: Int, _ tap: Int) -> Void) {
        for position in 0..<positions {
            for tap in 0..<shape.side * shape.side {
                guard let other = shape.neighbour(position / shape.columns, position % shape.columns, tap) else {
                    continue
                }
                body(position, other, tap)
            }
        }
    }
}
