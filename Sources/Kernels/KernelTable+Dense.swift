import CKernels

/// A row-major Float matrix in memory, read as it is or transposed.
package struct MatrixOperand {
    /// The first element.
    package let base: UnsafePointer<Float>
    /// Floats between two rows in memory.
    package let stride: Int
    /// Whether rows in memory are columns of the operand.
    package let isTransposed: Bool

    /// An operand of ``KernelTable/multiply(_:_:_:rows:columns:inner:into:stride:adding:)``.
    package init(_ base: UnsafePointer<Float>, stride: Int, isTransposed: Bool = false) {
        self.base = base
        self.stride = stride
        self.isTransposed = isTransposed
    }
}

extension KernelTable {
    /// Steps of the inner dimension that one accumulator takes: a panel of that many rows fits the first-level cache,
    /// and short runs of additions keep their rounding small.
    private static let innerBlock = 128
    /// Columns whose panels stay in the second-level cache.
    private static let columnBlock = 512
    /// Floats that packing may store behind the last cell.
    private static let slack = 64

    /// `c = alpha · a · b`, or `c += alpha · a · b`: a `[rows, inner]`, b `[inner, columns]`.
    ///
    /// On the calling thread. A row of the result depends on that row of `a` alone, in one order of additions.
    /// - Parameter adding: whether the product is added to what `c` holds.
    package func multiply(
        _ alpha: Float, _ a: MatrixOperand, _ b: MatrixOperand, rows: Int, columns: Int, inner: Int,
        into c: UnsafeMutablePointer<Float>, stride: Int, adding: Bool
    ) {
        guard rows > 0, columns > 0 else { return }
        if inner == 0 {
            if !adding { for row in 0..<rows { (c + row * stride).update(repeating: 0, count: columns) } }
            return
        }
        let width = panelWidth
        let (panelFloats, tileFloats) = multiplyFloats(columns: columns, inner: inner)
        let scratch = Workspace.take(floats: panelFloats + tileFloats + tileRows * width + width + 3 * Self.slack)
        defer { Workspace.giveBack(scratch) }
        let panels = scratch.base
        let tile = panels + panelFloats + Self.slack
        let product = tile + tileFloats + Self.slack
        let zeros = product + tileRows * width
        zeros.update(repeating: 0, count: width)
        for column in Swift.stride(from: 0, to: columns, by: Self.columnBlock) {
            let block = min(Self.columnBlock, columns - column)
            for step in Swift.stride(from: 0, to: inner, by: Self.innerBlock) {
                let steps = min(Self.innerBlock, inner - step)
                packPanels(panels, b, column: column, columns: block, step: step, steps: steps)
                for row in Swift.stride(from: 0, to: rows, by: tileRows) {
                    let count = min(tileRows, rows - row)
                    packTile(tile, a, row: row, rows: count, step: step, steps: steps, alpha: alpha)
                    for panel in Swift.stride(from: 0, to: block, by: width) {
                        let lanes = min(width, block - panel)
                        let target = c + row * stride + column + panel
                        if step == 0, !adding {
                            self.c.pointee.linear_tile(
                                target, Int64(stride), tile, panels + panel * steps, zeros, Int64(count),
                                Int64(steps), Int64(lanes))
                            continue
                        }
                        self.c.pointee.linear_tile(
                            product, Int64(width), tile, panels + panel * steps, zeros, Int64(count), Int64(steps),
                            Int64(lanes))
                        for line in 0..<count {
                            self.c.pointee.add(
                                target + line * stride, target + line * stride, product + line * width, Int64(lanes))
                        }
                    }
                }
            }
        }
    }

    private func multiplyFloats(columns: Int, inner: Int) -> (panels: Int, tile: Int) {
        (
            min(columns, Self.columnBlock).roundedUp(to: panelWidth) * min(inner, Self.innerBlock),
            tileRows * min(inner, Self.innerBlock)
        )
    }

    /// Bytes that ``multiply(_:_:_:rows:columns:inner:into:stride:adding:)`` works in.
    package func multiplyBytes(columns: Int, inner: Int) -> Int {
        let (panels, tile) = multiplyFloats(columns: columns, inner: inner)
        return Workspace.bytes(floats: panels + tile + (tileRows + 1) * panelWidth + 3 * Self.slack)
    }

    /// Columns of `b` as panels `[steps][panel width]`.
    private func packPanels(
        _ panels: UnsafeMutablePointer<Float>, _ b: MatrixOperand, column: Int, columns: Int, step: Int, steps: Int
    ) {
        let code = Int32(ZOO_F32.rawValue)
        if b.isTransposed {
            packKeys(
                panels, rows: b.base + column * b.stride + step, code: code, stride: b.stride, count: columns,
                headDim: steps)
        } else {
            _ = packValues(
                panels, rows: b.base + step * b.stride + column, code: code, stride: b.stride, count: steps,
                valueDim: columns, panelRows: steps)
        }
    }

    /// Rows of `a` as one tile `[steps][tile rows]`, times `alpha`.
    private func packTile(
        _ tile: UnsafeMutablePointer<Float>, _ a: MatrixOperand, row: Int, rows: Int, step: Int, steps: Int,
        alpha: Float
    ) {
        guard a.isTransposed else {
            packQuery(
                tile, rows: a.base + row * a.stride + step, code: Int32(ZOO_F32.rawValue), stride: a.stride,
                count: rows, headDim: steps, scale: alpha)
            return
        }
        let height = tileRows
        for place in 0..<steps {
            let source = a.base + (step + place) * a.stride + row
            let target = tile + place * height
            for lane in 0..<rows { target[lane] = source[lane] * alpha }
            for lane in rows..<height { target[lane] = 0 }
        }
    }

    /// e to the power of each number, in place.
    package func exponentials(_ numbers: UnsafeMutablePointer<Float>, count: Int) {
        for index in 0..<count { numbers[index] *= 0x1.715476p0 }
        c.pointee.exp2(numbers, numbers, Int64(count))
    }

    /// `state[f] = decay[f] · state[f] + gain[f] · value`; `stride` is a multiple of 16 and `value` is as long.
    package func updateState(
        _ state: UnsafeMutablePointer<Float>, stride: Int, decay: UnsafePointer<Float>, gain: UnsafePointer<Float>,
        value: UnsafePointer<Float>, features: Int
    ) {
        c.pointee.state_update(state, Int64(stride), decay, gain, value, Int64(features))
    }

    /// `output = Σ weight[f] · state[f]`.
    package func readState(
        _ output: UnsafeMutablePointer<Float>, _ state: UnsafePointer<Float>, stride: Int,
        weight: UnsafePointer<Float>, features: Int
    ) {
        c.pointee.state_read(output, state, Int64(stride), weight, Int64(features))
    }

    /// `output[f] = state[f] · vector`.
    package func dotState(
        _ output: UnsafeMutablePointer<Float>, _ state: UnsafePointer<Float>, stride: Int,
        vector: UnsafePointer<Float>, features: Int
    ) {
        c.pointee.state_dot(output, state, Int64(stride), vector, Int64(features))
    }
}
