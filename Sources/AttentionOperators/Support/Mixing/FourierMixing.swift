import AttentionCore
import Kernels
import TensorCore

/// Re(F_seq F_hidden x) of one sequence, each transform of a real matrix halved by its symmetry.
///
/// Along the channels two positions share a transform: one is its real part, the other its imaginary part. Of the result
/// only channels 0 to C/2 are kept, for `z[C - c] = conj(z[c])`; along the positions
/// `Re F(conj z)[k] = Re F(z)[n - k]` gives the others for nothing.
struct FourierMixing: Sendable {
    let channels: SequenceChannels
    /// Whether the channels are transformed too.
    let hidden: Bool

    private static let lanes = ZooLimits.transformLanes

    /// Columns of complex numbers that the transform along the positions runs on.
    private var columns: Int { hidden ? channels.channels / 2 + 1 : (channels.channels + 1) / 2 }
    var blocks: Int { (columns + Self.lanes - 1) / Self.lanes }

    /// Floats between the two transforms: real and imaginary parts, `[blocks][length][lanes]` each.
    func middleFloats(_ length: Int) -> Int { 2 * blocks * length * Self.lanes }

    /// Bytes that ``run(_:_:given:length:wanted:to:)`` works in: what lies between the transforms, and the tables and scratch of
    /// the larger one.
    func workingBytes(_ length: Int) -> Int {
        if length == 0 { return 0 }
        let threads = channels.context.threads
        func transform(_ length: Int, tasks: Int, extraFloats: Int) -> Int {
            let scratch = LengthTransform.scratchFloats(length) + extraFloats
            return LengthTransform.tableBytes(length)
                + max(1, min(threads, tasks)) * Workspace.bytes(floats: scratch)
        }
        let width = channels.channels
        let rows = 2 * Self.lanes
        let first =
            hidden
            ? transform(width, tasks: (length + rows - 1) / rows, extraFloats: width.roundedUp(to: 16))
            : 4 * width * threads
        return 4 * middleFloats(length) + max(first, transform(length, tasks: blocks, extraFloats: 0))
    }

    /// Transforms the first `given` positions of a source, the others being zeros; keeps `wanted` positions.
    ///
    /// - Parameter target: `[wanted, channels]`.
    func run(
        _ source: OperandView, _ batch: Int, given: Int, length: Int, wanted: Int,
        to target: UnsafeMutablePointer<Float>
    ) {
        guard length > 0, wanted > 0 else { return }
        let middle = Tensor(zeros: [middleFloats(length)])
        if hidden {
            alongChannels(source, batch, given: given, length: length, middle.freshFloats)
        } else {
            pairChannels(source, batch, given: given, length: length, middle.freshFloats)
        }
        alongPositions(length: length, wanted: wanted, middle.freshFloats, to: target)
        withExtendedLifetime(middle) {}
    }

    /// Rows 2j and 2j + 1 of each block of positions are the real and the imaginary part of lane j.
    private func alongChannels(
        _ source: OperandView, _ batch: Int, given: Int, length: Int, _ middle: UnsafeMutablePointer<Float>
    ) {
        let width = channels.channels
        let transform = LengthTransform(width)
        let rows = 2 * Self.lanes
        let parts = SendablePointer((middle, middle + blocks * length * Self.lanes))
        let row = transform.scratchFloats
        channels.context.parallel((given + rows - 1) / rows, scratchFloats: row + width.roundedUp(to: 16)) {
            index, scratch in
            let (real, imaginary) = transform.parts(scratch)
            real.update(repeating: 0, count: width * Self.lanes)
            imaginary.update(repeating: 0, count: width * Self.lanes)
            let block = index * rows..<min(given, (index + 1) * rows)
            for position in block {
                channels.read(source, batch, position, to: scratch + row)
                let lane = (position - block.lowerBound) / 2
                let part = (position - block.lowerBound) % 2 == 0 ? real : imaginary
                for c in 0..<width { part[c * Self.lanes + lane] = scratch[row + c] }
            }
            let (x, y) = transform.run(scratch, kernels: channels.context.kernels)
            for c in 0..<columns {
                let (a, b) = (c * Self.lanes, (width - c) % width * Self.lanes)
                let column = c / Self.lanes * length * Self.lanes + c % Self.lanes
                for position in block {
                    let lane = (position - block.lowerBound) / 2
                    let (xa, xb, ya, yb) = (x[a + lane], x[b + lane], y[a + lane], y[b + lane])
                    let isFirst = (position - block.lowerBound) % 2 == 0
                    let cell = column + position * Self.lanes
                    parts.base.0[cell] = (isFirst ? xa + xb : ya + yb) * 0.5
                    parts.base.1[cell] = (isFirst ? ya - yb : xb - xa) * 0.5
                }
            }
        }
    }

    /// Channels 2j and 2j + 1 are the real and the imaginary part of column j.
    private func pairChannels(
        _ source: OperandView, _ batch: Int, given: Int, length: Int, _ middle: UnsafeMutablePointer<Float>
    ) {
        let width = channels.channels
        let parts = SendablePointer((middle, middle + blocks * length * Self.lanes))
        channels.eachBlock(of: given) { rows in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { buffer in
                guard let row = buffer.baseAddress else { return }
                for position in rows {
                    channels.read(source, batch, position, to: row)
                    for c in 0..<width {
                        let column = c / 2
                        let cell =
                            (column / Self.lanes * length + position) * Self.lanes + column % Self.lanes
                        if c % 2 == 0 { parts.base.0[cell] = row[c] } else { parts.base.1[cell] = row[c] }
                    }
                }
            }
        }
    }

    private func alongPositions(
        length: Int, wanted: Int, _ middle: UnsafeMutablePointer<Float>, to target: UnsafeMutablePointer<Float>
    ) {
        let transform = LengthTransform(length)
        let plane = length * Self.lanes
        let parts = SendablePointer((middle, middle + blocks * plane))
        let result = SendablePointer(target)
        channels.context.parallel(blocks, scratchFloats: transform.scratchFloats) { block, scratch in
            let (real, imaginary) = transform.parts(scratch)
            real.update(from: parts.base.0 + block * plane, count: plane)
            imaginary.update(from: parts.base.1 + block * plane, count: plane)
            let (x, y) = transform.run(scratch, kernels: channels.context.kernels)
            let first = block * Self.lanes
            let count = min(Self.lanes, columns - first)
            for k in 0..<wanted {
                let row = result.base + k * channels.channels
                let (a, b) = (k * Self.lanes, (length - k) % length * Self.lanes)
                for lane in 0..<count {
                    if hidden {
                        let mirror = channels.channels - first - lane
                        row[first + lane] = x[a + lane]
                        if mirror < channels.channels, mirror > first + lane { row[mirror] = x[b + lane] }
                    } else {
                        let c = 2 * (first + lane)
                        row[c] = (x[a + lane] + x[b + lane]) * 0.5
                        if c + 1 < channels.channels { row[c + 1] = (y[a + lane] + y[b + lane]) * 0.5 }
                    }
                }
            }
        }
    }
}
