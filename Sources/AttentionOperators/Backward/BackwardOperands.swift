import AttentionCore
import Foundation
import Kernels
import TensorCore

/// What the rows of a backward pass bring: queries, gradients of the output, log-sum-exp, and `rowsum(dO · O) - dL`.
struct BackwardOperands: @unchecked Sendable {
    private let problem: AttentionProblem
    private let context: ComputeContext
    private let query: OperandView
    private let gradient: OperandView
    /// rowsum(dO · O), [batch, heads, queryLength].
    private let products: [Float]
    private let logSumExp: [Float]
    private let logSumExpGradient: [Float]?
    private let sinks: [Float]?
    /// Keeps the operands' memory alive.
    private let tensors: [Tensor]

    private static let log2e = 1.442_695_040_888_963_4

    init(
        _ inputs: AttentionInputs, _ result: AttentionOutput, _ outputGradient: OutputGradient,
        _ problem: AttentionProblem, _ context: ComputeContext
    ) throws(AttentionError) {
        guard let logarithms = result.logSumExp else {
            throw .missingOperand(
                operand: "log_sum_exp", expected: "[\(problem.batch), \(problem.heads), \(problem.queryLength)]")
        }
        let outputShape = Shape([problem.batch, problem.queryLength, problem.heads, problem.valueDim])
        guard result.output.shape == outputShape else {
            throw .invalidShape(operand: "output", expected: "\(outputShape)", actual: result.output.shape)
        }
        let rowShape = Shape([problem.batch, problem.heads, problem.queryLength])
        guard logarithms.shape == rowShape else {
            throw .invalidShape(operand: "log_sum_exp", expected: "\(rowShape)", actual: logarithms.shape)
        }
        self.problem = problem
        self.context = context
        let output = Self.readable(result.output)
        let gradient = Self.readable(outputGradient.output)
        tensors = [inputs.query, output, gradient]
        query = OperandView(inputs.query)
        self.gradient = OperandView(gradient)
        products = Self.products(self.gradient, OperandView(output), problem, context)
        logSumExp = logarithms.floats()
        logSumExpGradient = outputGradient.logSumExp?.floats()
        sinks = inputs.sinks
    }

    /// The same numbers as kernels read them: a type they know, the last dimension dense.
    private static func readable(_ tensor: Tensor) -> Tensor {
        let known = tensor.dtype.kernelCode == nil ? tensor.converted(to: .float32) : tensor
        return known.strides[3] == 1 || known.shape[3] <= 1 ? known : known.contiguous()
    }

    /// Packs the rows of a block.
    func pack(
        _ block: RowBlock, _ layout: BackwardLayout, _ scratch: UnsafeMutablePointer<Float>
    ) -> BackwardRows {
        var result = layout.rows(scratch)
        result.count = block.rows
        let scale = problem.scale * Float(Self.log2e)
        let gathered = layout.gathered(scratch)
        let isQueryFinite = pack(
            query, block, dim: problem.headDim, scale: scale, tiles: result.queryTiles, panels: result.queryPanels,
            panelRows: result.panelRows, gathered)
        let isGradientFinite = pack(
            gradient, block, dim: problem.valueDim, scale: 1, tiles: result.gradientTiles,
            panels: result.gradientPanels, panelRows: result.panelRows, gathered)
        result.isFinite = isQueryFinite && isGradientFinite
        for row in 0..<block.rows {
            let (head, query) = (block.head(row), block.query(row))
            let place = (block.batch * problem.heads + head) * problem.queryLength + query
            let logarithm = logSumExp[place]
            // A row that sees no key has weights of zero.
            result.logSumExp[row] = logarithm == -.infinity ? .infinity : Float(Double(logarithm) * Self.log2e)
            result.offset[row] = products[place] - (logSumExpGradient?[place] ?? 0)
        }
        return result
    }

    /// Packs rows into register tiles and into panels; returns whether they are finite.
    private func pack(
        _ operand: OperandView, _ block: RowBlock, dim: Int, scale: Float, tiles: UnsafeMutablePointer<Float>,
        panels: UnsafeMutablePointer<Float>, panelRows: Int, _ gathered: UnsafeMutablePointer<Float>
    ) -> Bool {
        let kernels = context.kernels
        var rows = operand.row(block.batch, block.queries.lowerBound, head: block.firstHead)
        var (code, stride) = (operand.code, operand.rowStride)
        if block.heads > 1 {
            // Rows of several heads have no one stride: line them up first.
            for row in 0..<block.rows {
                kernels.toFloat(
                    gathered + row * dim, from: operand.row(block.batch, block.query(row), head: block.head(row)),
                    code: operand.code, count: dim)
            }
            rows = UnsafeRawPointer(gathered)
            (code, stride) = (DType.float32.kernelCode ?? 0, dim)
        }
        kernels.packQuery(
            tiles, rows: rows, code: code, stride: stride, count: block.rows, headDim: dim, scale: scale)
        return kernels.packValues(
            panels, rows: rows, code: code, stride: stride, count: block.rows, valueDim: dim, panelRows: panelRows)
    }

    /// rowsum(dO · O) of every row.
    private static func products(
        _ gradient: OperandView, _ output: OperandView, _ problem: AttentionProblem, _ context: ComputeContext
    ) -> [Float] {
        let rows = problem.queryLength
        let count = problem.batch * problem.heads
        return [Float](unsafeUninitializedCapacity: count * rows) { buffer, initialised in
            initialised = count * rows
            guard let base = buffer.baseAddress else { return }
            base.update(repeating: 0, count: count * rows)
            let target = SendablePointer(base)
            context.parallel(count) { index, _ in
                let (batch, head) = (index / problem.heads, index % problem.heads)
                // Padding may hold anything.
                for query in 0..<problem.geometry(batch).queryLength {
                    target.base[index * rows + query] = context.kernels.dot(
                        gradient.row(batch, query, head: head), code: gradient.code,
                        output.row(batch, query, head: head), code: output.code, count: problem.valueDim)
                }
            }
        }
    }

    /// The sum of dS over the keys of a row.
    ///
    /// With D = rowsum(dO · O) the visible weights P have Σ P dP = D and Σ P = 1 - exp(sink - L), so the sum is
    /// D exp(sink - L) + dL (1 - exp(sink - L)). Adding up cells would lose the digits that cancel here.
    func scoreSum(_ batch: Int, head: Int, query: Int) -> Double {
        let place = (batch * problem.heads + head) * problem.queryLength + query
        guard query < problem.geometry(batch).queryLength, logSumExp[place] > -.infinity else { return 0 }
        let sunk = sinks.map { exp(Double($0[head]) - Double(logSumExp[place])) } ?? 0
        return Double(products[place]) * sunk + Double(logSumExpGradient?[place] ?? 0) * (1 - sunk)
    }

    /// `Σ exp(sink - L) (dL - rowsum(dO · O))` over the queries of a head; `nil` without sinks.
    ///
    /// Cost: O(batch · heads · queryLength · valueDim).
    func sinkGradients() -> Tensor? {
        guard let sinks else { return nil }
        var sums = [Double](repeating: 0, count: problem.heads)
        for batch in 0..<problem.batch {
            for head in 0..<problem.heads where sinks[head] > -.infinity {
                for query in 0..<problem.geometry(batch).queryLength {
                    let place = (batch * problem.heads + head) * problem.queryLength + query
                    let weight = exp(Double(sinks[head]) - Double(logSumExp[place]))
                    sums[head] +=
                        weight * (Double(logSumExpGradient?[place] ?? 0) - Double(products[place]))
                }
            }
        }
        return (try? Tensor(sums, shape: [problem.heads]))?.converted(to: .float32)
    }
}
