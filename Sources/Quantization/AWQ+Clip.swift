public import Kernels
public import TensorCore

extension AWQ {
    /// Outputs of a task.
    private static let clipTile = 32

    /// The magnitude at which the weights of each output and group are best clipped, `[outputs, groups]` row by row.
    ///
    /// For each group alone the squared error of its part of the output is least, summed over rows of inputs. With the
    /// products of the group's inputs, `G = Σ x xᵀ`, that error is `d G dᵀ`, whatever the number of rows. Not clipping is
    /// among the candidates.
    ///
    /// Cost: 2 · outputs · inputs · group size operations in Double for each range tried.
    /// - Parameters:
    ///   - weight: `[outputs, inputs]` in F32, with scales multiplied in.
    ///   - inputs: rows in as many parts as may be, each `[n, inputs]` in F32, with scales divided out.
    /// - Throws: ``QuantizationError`` when shapes, the scheme or a setting do not fit, or numbers are not finite.
    public func searchClip(
        weight: Tensor, inputs: [Tensor], scheme: QuantizationScheme, context: ComputeContext
    ) throws(QuantizationError) -> [Float] {
        let matrix = try WeightMatrix(weight, scheme)
        var parts: [Tensor] = []
        for part in inputs { parts.append(try part.checkedMatrix("activations", columns: matrix.inputs)) }
        try QuantizationError.check(parts.contains { $0.shape[0] > 0 }, "activations", "at least one row", "none")
        try QuantizationError.check((1...10_000).contains(clipSteps), "clipSteps", "from 1 to 10000", "\(clipSteps)")
        try QuantizationError.check(clipRows > 0, "clipRows", "from 1", "\(clipRows)")
        try QuantizationError.check(
            largestShrink >= 0 && largestShrink < 1, "largestShrink", "from 0 to below 1", "\(largestShrink)")
        let (size, groups) = (matrix.groupSize, matrix.groups)
        let tiles = (matrix.outputs + Self.clipTile - 1) / Self.clipTile
        let rows = sample(parts)
        var maxima = [Float](repeating: 0, count: matrix.outputs * groups)
        maxima.withUnsafeMutableBufferPointer { maxima in
            guard let base = maxima.baseAddress else { return }
            let maxima = SendablePointer(base)
            for group in 0..<groups {
                let products = products(rows, columns: group * size..<(group + 1) * size)
                context.parallel(tiles) { tile, _ in
                    let first = tile * Self.clipTile
                    for output in first..<min(matrix.outputs, first + Self.clipTile) {
                        let start = matrix.tensor.floats + output * matrix.inputs + group * size
                        maxima.base[output * groups + group] = bestMaximum(
                            UnsafeBufferPointer(start: start, count: size), products, scheme)
                    }
                }
            }
        }
        withExtendedLifetime((matrix, parts)) {}
        return maxima
    }

    /// Rows of all parts in equal steps.
    private func sample(_ parts: [Tensor]) -> [UnsafePointer<Float>] {
        let step = max(1, parts.reduce(0) { $0 + $1.shape[0] } / clipRows)
        var (rows, next): ([UnsafePointer<Float>], Int) = ([], 0)
        for part in parts {
            while next < part.shape[0] {
                rows.append(part.floats + next * part.shape[1])
                next += step
            }
            next -= part.shape[0]
        }
        return rows
    }

    /// Σ x xᵀ over rows, for some columns.
    private func products(_ rows: [UnsafePointer<Float>], columns: Range<Int>) -> [Double] {
        let size = columns.count
        let sample = rows.flatMap { row in columns.map { Double(row[$0]) } }
        var result = [Double](repeating: 0, count: size * size)
        result.withUnsafeMutableBufferPointer { result in
            sample.withUnsafeBufferPointer { sample in
                guard let source = sample.baseAddress, let target = result.baseAddress else { return }
                Double.multiplyTransposed(
                    rows: size, columns: size, inner: rows.count, a: source, aStride: size, b: source,
                    bStride: size, c: target, cStride: size)
            }
        }
        return result
    }

    /// The candidate with the least error; the larger of two that are alike.
    private func bestMaximum(
        _ weights: UnsafeBufferPointer<Float>, _ products: [Double], _ scheme: QuantizationScheme
    ) -> Float {
        let fitter = GridFitter(scheme: scheme, fit: .range)
        let size = weights.count
        let whole = weights.reduce(0) { max($0, abs($1)) }
        // One row for every candidate: their errors come from one product.
        let candidates = (0..<max(1, Int(largestShrink * Double(clipSteps)))).map {
            whole * Float(1 - Double($0) / Double(clipSteps))
        }
        var differences = [Double](repeating: 0, count: candidates.count * size)
        var clipped = [Float](repeating: 0, count: size)
        for (index, maximum) in candidates.enumerated() {
            for input in 0..<size { clipped[input] = min(max(weights[input], -maximum), maximum) }
            let grid = clipped.withUnsafeBufferPointer(fitter.grid)
            for input in 0..<size {
                differences[index * size + input] = Double(grid.rounded(clipped[input])) - Double(weights[input])
            }
        }
        var images = [Double](repeating: 0, count: differences.count)
        images.withUnsafeMutableBufferPointer { images in
            differences.withUnsafeBufferPointer { differences in
                products.withUnsafeBufferPointer { products in
                    guard let a = differences.baseAddress, let b = products.baseAddress, let c = images.baseAddress
                    else { return }
                    Double.multiply(
                        rows: candidates.count, columns: size, inner: size, alpha: 1, a: a, aStride: size, b: b,
                        bStride: size, transposeB: false, beta: 0, c: c, cStride: size)
                }
            }
        }
        var best = (maximum: whole, error: Double.infinity)
        for (index, maximum) in candidates.enumerated() {
            var error = 0.0
            for place in index * size..<(index + 1) * size { error += differences[place] * images[place] }
            if error < best.error { best = (maximum, error) }
        }
        return best.maximum
    }

    /// The weight `[outputs, inputs]` with every group clipped to ±its maximum.
    /// - Parameter maxima: as ``searchClip(weight:inputs:scheme:context:)`` returns them.
    /// - Throws: ``QuantizationError`` when the scheme or the number of maxima does not fit, or one is negative or no
    ///   number.
    public static func applyClip(
        _ maxima: [Float], to weight: Tensor, scheme: QuantizationScheme
    ) throws(QuantizationError) -> Tensor {
        let matrix = try WeightMatrix(weight, scheme)
        let count = matrix.outputs * matrix.groups
        try QuantizationError.check(
            maxima.count == count, "maxima", "\(count), one for each output and group", "\(maxima.count)")
        let bad = maxima.first { !($0 >= 0) }
        try QuantizationError.check(bad == nil, "maxima", "numbers from 0", "\(bad ?? 0)")
        let result = Tensor(unwritten: matrix.tensor.shape)
        let target = result.freshMutableAddress.assumingMemoryBound(to: Float.self)
        for (group, maximum) in maxima.enumerated() {
            for index in group * matrix.groupSize..<(group + 1) * matrix.groupSize {
                target[index] = min(max(matrix.tensor.floats[index], -maximum), maximum)
            }
        }
        withExtendedLifetime(matrix) {}
        return result
    }
}
