import Kernels
import Quantization
import TensorCore

/// Quantises one block after the other, in the order of dependence.
struct BlockQuantizer {
    let blocks: DecoderBlocks
    let quantizer: ProductQuantizer
    /// Whether a step sees what comes out of the quantised steps before it.
    let isSequential: Bool

    /// What a block has become.
    struct Outcome {
        var products: [QuantizedProduct] = []
        /// Other tensors of the block that have changed, by the model's parameter names.
        var changed: [String: Tensor] = [:]
        /// ‖ŷ − y‖² / ‖y‖² of the block's rows; `nil` without a calibration text.
        var outputError: Double?
    }

    /// Quantises a block and moves the states behind it.
    ///
    /// Memory: the block's weights in Float, and once more those of the block as it was for the error of its output, one
    /// batch's rows inside it, and the states.
    /// - Parameter began: is told every product before it is quantised, and how many of the block are done.
    func callAsFunction(
        _ parts: [DecoderPart], number: Int, states: inout CalibrationStates, began: (DecoderProduct, Int) -> Void
    ) throws(ModelError) -> Outcome {
        var outcome = Outcome()
        var weights = parts.map { blocks.weights(of: $0) }
        if states.isEmpty {
            for (index, part) in parts.enumerated() {
                for product in part.steps.joined() {
                    try quantize(product, number, nil, &weights[index], &outcome, began)
                }
            }
            return outcome
        }
        let before = states
        if case .awq(let awq, let clips) = quantizer.method {
            let scaling = ScaledPartQuantizer(blocks: blocks, quantizer: quantizer, awq: awq, clips: clips)
            for (index, part) in parts.enumerated() {
                try scaling(part, number: number, &weights[index], states, &outcome, began)
                try states.advance(try blocks.runner(part, weights[index]))
            }
        } else if isSequential {
            for (index, part) in parts.enumerated() {
                for (step, products) in part.steps.enumerated() {
                    let statistics = try collect(part, weights[index], states, only: step)[0]
                    for product in products {
                        try quantize(product, number, statistics, &weights[index], &outcome, began)
                    }
                }
                try states.advance(try blocks.runner(part, weights[index]))
            }
        } else {
            // All of the block's inputs as the Float block makes them, then all of its products.
            var floats = states
            var statistics: [[InputHessian]] = []
            for (index, part) in parts.enumerated() {
                statistics.append(try collect(part, weights[index], floats, only: nil))
                if index + 1 < parts.count { try floats.advance(try blocks.runner(part, weights[index])) }
            }
            for (index, part) in parts.enumerated() {
                for (step, products) in part.steps.enumerated() {
                    for product in products {
                        try quantize(product, number, statistics[index][step], &weights[index], &outcome, began)
                    }
                }
                try states.advance(try blocks.runner(part, weights[index]))
            }
        }
        outcome.outputError = try error(of: parts, before, states)
        return outcome
    }

    private func quantize(
        _ product: DecoderProduct, _ number: Int, _ statistics: InputHessian?, _ weights: inout [String: Tensor],
        _ outcome: inout Outcome, _ began: (DecoderProduct, Int) -> Void
    ) throws(ModelError) {
        guard let weight = weights[product.parameter] else { return }
        began(product, outcome.products.count)
        let result = try quantizer(product, weight.converted(to: .float32), block: number, statistics)
        weights[product.parameter] = result.weight.dequantized()
        outcome.products.append(result)
    }

    /// The statistics of what goes into a step, or into every step.
    private func collect(
        _ part: DecoderPart, _ weights: [String: Tensor], _ states: CalibrationStates, only wanted: Int?
    ) throws(ModelError) -> [InputHessian] {
        let steps = wanted.map { [$0] } ?? Array(part.steps.indices)
        var result = steps.map { InputHessian(inputs: part.steps[$0][0].inputs) }
        if wanted == 0 {
            // No product runs before the first ones.
            let norm = try blocks.normRunner(part, weights)
            for (rows, batch) in zip(states.rows, states.batches) {
                try quantizer.add(try norm(rows, batch), to: &result[0], part.steps[0][0])
            }
            return result
        }
        try states.observe(try blocks.runner(part, weights)) { (step, rows) throws(ModelError) in
            guard let place = steps.firstIndex(of: step) else { return }
            try quantizer.add(rows, to: &result[place], part.steps[step][0])
        }
        return result
    }

    /// How far the quantised block's rows are from the Float block's.
    private func error(
        of parts: [DecoderPart], _ before: CalibrationStates, _ after: CalibrationStates
    ) throws(ModelError) -> Double {
        var runners: [PartRunner] = []
        for part in parts { runners.append(try blocks.runner(part, blocks.weights(of: part))) }
        var error = 0.0
        var norm = 0.0
        for (index, batch) in before.batches.enumerated() {
            var rows = before.rows[index]
            for runner in runners { rows = try runner(rows, batch) }
            error += rows.squaredDistance(to: after.rows[index], context: blocks.context)
            norm += rows.squaredNorm(context: blocks.context)
        }
        return norm > 0 ? error / norm : 0
    }
}
