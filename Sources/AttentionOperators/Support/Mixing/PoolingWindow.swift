import Kernels

/// Sums over windows of positions on a line or a grid, without a subtraction.
///
/// The line is cut into blocks as long as the window, and each block is summed from its start (prefixes) and from its end
/// (suffixes): a window touches at most two blocks, so its sum is one suffix plus one prefix (van Herk, 1992). A number
/// reaches no window that does not hold it, not even as NaN, and the cost does not grow with the window.
struct PoolingWindow: Sendable {
    /// Positions of a window before its place along each axis.
    let left: Int
    /// Positions of a window after its place along each axis.
    let right: Int
    /// Rows and columns of the grid; one row for a line.
    let rows: Int
    let columns: Int
    /// Positions that exist, in row-major order.
    let length: Int

    /// Whether windows reach over several rows.
    var isGrid: Bool { rows > 1 }

    /// The window that holds a place as often as this window holds others: the adjoint.
    var mirrored: PoolingWindow {
        PoolingWindow(left: right, right: left, rows: rows, columns: columns, length: length)
    }

    /// Whether the window of one position holds another.
    func holds(_ position: Int, _ other: Int) -> Bool {
        let across = other % columns - position % columns
        let down = other / columns - position / columns
        return other < length && -left <= across && across <= right && (down == 0 || (-left <= down && down <= right))
    }

    /// Positions that exist in the window of one position.
    func count(_ position: Int) -> Int {
        let first = max(0, position % columns - left)
        let end = min(columns, position % columns + right + 1)
        let row = position / columns
        let top = isGrid ? max(0, row - left) : row
        let bottom = isGrid ? min(rows, row + right + 1) : row + 1
        let whole = length / columns
        var result = max(0, min(bottom, whole) - top) * (end - first)
        if top <= whole, whole < bottom { result += max(0, min(end, length % columns) - first) }
        return result
    }

    /// Floats of scratch for ``sum(_:width:channels:scratch:)``.
    func scratchFloats(channels: Int) -> Int { 2 * max(rows, columns) * channels }

    /// Replaces numbers `[rows · columns][width]` by the sums of their windows, for some channels from the start.
    func sum(
        _ cells: UnsafeMutablePointer<Float>, width: Int, channels: Int, scratch: UnsafeMutablePointer<Float>
    ) {
        for row in 0..<rows {
            slide(
                cells + row * columns * width, count: columns, stride: width, channels: channels, scratch: scratch)
        }
        guard isGrid else { return }
        for column in 0..<columns {
            slide(cells + column * width, count: rows, stride: columns * width, channels: channels, scratch: scratch)
        }
    }

    private func slide(
        _ line: UnsafeMutablePointer<Float>, count: Int, stride: Int, channels: Int,
        scratch: UnsafeMutablePointer<Float>
    ) {
        let block = left + right + 1
        if block == 1 { return }
        let prefix = scratch
        let suffix = scratch + count * channels
        for place in 0..<count {
            accumulate(prefix, line, place, from: place % block == 0 ? nil : place - 1, stride, channels)
        }
        for place in Swift.stride(from: count - 1, through: 0, by: -1) {
            let isLast = place % block == block - 1 || place == count - 1
            accumulate(suffix, line, place, from: isLast ? nil : place + 1, stride, channels)
        }
        for place in 0..<count {
            let first = max(0, place - left)
            let last = min(count - 1, place + right)
            let target = line + place * stride
            if first / block != last / block {
                let (a, b) = (suffix + first * channels, prefix + last * channels)
                for c in 0..<channels { target[c] = a[c] + b[c] }
            } else {
                // A window within one block begins with it, or ends with the line.
                let source = first % block == 0 ? prefix + last * channels : suffix + first * channels
                target.update(from: source, count: channels)
            }
        }
    }

    private func accumulate(
        _ sums: UnsafeMutablePointer<Float>, _ line: UnsafeMutablePointer<Float>, _ place: Int, from before: Int?,
        _ stride: Int, _ channels: Int
    ) {
        let target = sums + place * channels
        let source = line + place * stride
        guard let before else { return target.update(from: source, count: channels) }
        let sum = sums + before * channels
        for c in 0..<channels { target[c] = sum[c] + source[c] }
    }
}
