import Kernels
import TensorCore

/// GPTQ's loop over columns.
///
/// Outputs never meet once the Hessian is factorised, so tiles of them go through all columns alone. Tiles are the same
/// with any number of threads.
struct GPTQRows: Sendable {
    let matrix: WeightMatrix
    let factor: HessianFactor
    let fitter: GridFitter
    /// Blocks of columns in the order in which they are quantised; where grids are not static a group begins a block.
    let columnBlocks: [Range<Int>]
    /// Whether grids are found before any error is passed on.
    let isStatic: Bool

    /// Outputs that share a pass over the factor.
    private static let tileHeight = 64
    /// Calls of the progress report, at most.
    private static let reports = 16

    /// Fills in codes and grids; returns the objective.
    func run(_ parts: inout CodeParts, _ context: ComputeContext, _ progress: ((Double) -> Void)?) -> Double {
        let tiles = (matrix.outputs + Self.tileHeight - 1) / Self.tileHeight
        let perReport =
            progress == nil ? max(1, tiles) : max(context.threads, (tiles + Self.reports - 1) / Self.reports)
        var losses = [Double](repeating: 0, count: tiles)
        parts.withAddresses { parts in
            losses.withUnsafeMutableBufferPointer { losses in
                guard let base = losses.baseAddress else { return }
                let losses = SendablePointer(base)
                for first in stride(from: 0, to: tiles, by: perReport) {
                    let count = min(perReport, tiles - first)
                    context.parallel(count) { index, _ in
                        losses.base[first + index] = runTile(first + index, parts)
                    }
                    progress?(Double(first + count) / Double(tiles + 1))
                }
            }
        }
        withExtendedLifetime(matrix.tensor) {}
        // Each loss is a difference of sums that may be alike.
        return losses.reduce(0) { $0 + max(0, $1) }
    }

    /// Quantises the rows of a tile; returns their part of the objective.
    private func runTile(_ tile: Int, _ parts: CodeParts.Addresses) -> Double {
        let first = tile * Self.tileHeight
        let height = min(Self.tileHeight, matrix.outputs - first)
        let (inputs, widest) = (matrix.inputs, columnBlocks.map(\.count).max() ?? 0)
        var weights = [Double](repeating: 0, count: height * inputs)
        var errors = [Double](repeating: 0, count: height * widest)
        let middle = GroupGrid(scale: 1, zero: 0, highest: 0)
        var grids = [GroupGrid](repeating: middle, count: height * matrix.groups)
        for row in 0..<height {
            let source = matrix.tensor.floats + (first + row) * inputs
            for (step, column) in factor.order.enumerated() where !factor.isDead[column] {
                weights[row * inputs + step] = Double(source[column])
            }
            if isStatic { fitAll(source, &grids, row: row, parts, output: first + row) }
        }
        var loss = 0.0
        weights.withUnsafeMutableBufferPointer { weights in
            errors.withUnsafeMutableBufferPointer { errors in
                grids.withUnsafeMutableBufferPointer { grids in
                    factor.upper.withUnsafeBufferPointer { upper in
                        guard let weights = weights.baseAddress, let errors = errors.baseAddress,
                            let upper = upper.baseAddress, let grids = grids.baseAddress
                        else { return }
                        for block in columnBlocks {
                            for row in 0..<height {
                                loss += quantizeBlock(
                                    block, output: first + row, weights: weights + row * inputs,
                                    errors: errors + row * block.count, grids: grids + row * matrix.groups,
                                    upper: upper, parts)
                            }
                            // The errors of the block reach all columns behind it.
                            Double.multiply(
                                rows: height, columns: inputs - block.upperBound, inner: block.count, alpha: -1,
                                a: errors, aStride: block.count,
                                b: upper + block.lowerBound * inputs + block.upperBound, bStride: inputs,
                                transposeB: false, beta: 1, c: weights + block.upperBound, cStride: inputs)
                        }
                    }
                }
            }
        }
        return loss
    }

    /// Finds every grid of a row from its original weights, dead columns being 0.
    private func fitAll(
        _ source: UnsafePointer<Float>, _ grids: inout [GroupGrid], row: Int, _ parts: CodeParts.Addresses, output: Int
    ) {
        for group in 0..<matrix.groups {
            let columns = group * matrix.groupSize..<(group + 1) * matrix.groupSize
            let grid = columns.map { factor.isDead[$0] ? 0 : source[$0] }.withUnsafeBufferPointer(fitter.grid)
            grids[row * matrix.groups + group] = grid
            parts.store(grid, output: output, group: group)
        }
    }

    /// Quantises a block of columns of one row, passing errors on within the block; returns its part of the objective.
    ///
    /// With D = W − Q, errors e = D · U⁻¹ and H + λ I = (Uᵀ U)⁻¹, `|e|²` is `D (H + λ I) Dᵀ`: λ |D|² is taken off again.
    /// That holds for the whole row alone, where D is the difference from the original weight.
    private func quantizeBlock(
        _ block: Range<Int>, output: Int, weights: UnsafeMutablePointer<Double>, errors: UnsafeMutablePointer<Double>,
        grids: UnsafeMutablePointer<GroupGrid>, upper: UnsafePointer<Double>, _ parts: CodeParts.Addresses
    ) -> Double {
        let (inputs, size) = (matrix.inputs, matrix.groupSize)
        let source = matrix.tensor.floats + output * inputs
        let codes = parts.codes + output * inputs
        var loss = 0.0
        for step in block {
            let column = factor.order[step]
            let group = (isStatic ? column : step) / size
            if !isStatic && step % size == 0 {
                let grid = (step..<step + size).map { Float(weights[$0]) }.withUnsafeBufferPointer(fitter.grid)
                grids[group] = grid
                parts.store(grid, output: output, group: group)
            }
            // Codes are those of the weight in Float: what round-to-nearest sees when no error has come in.
            let code = grids[group].code(Float(weights[step]))
            codes[column] = code
            let value = Double(grids[group].value(code))
            let factors = upper + step * inputs
            let error = (weights[step] - value) / factors[step]
            errors[step - block.lowerBound] = error
            for later in step + 1..<max(step + 1, block.upperBound) { weights[later] -= error * factors[later] }
            loss += error * error
            if !factor.isDead[column] {
                let difference = Double(source[column]) - value
                loss -= factor.addend * difference * difference
            }
        }
        return loss
    }
}
