import Kernels
import Quantization
import TensorCore

/// AWQ on half a block: scales by search, folded into the operation before, then clipped and rounded (Lin et al., 2023).
///
/// Scales multiply the columns of a step's weights; the step's inputs are divided by them where they are made:
///
/// - query, key, value and gate, up: in the gain of the normalisation before;
/// - output: in the rows of the value projection, which it mixes but does not change; not when several query heads share
///   a value head, since each would ask for another factor;
/// - down: in the rows of the up projection.
struct ScaledPartQuantizer {
    let blocks: DecoderBlocks
    let quantizer: ProductQuantizer
    let awq: AWQ
    let clips: Bool

    /// Quantises the products of a part.
    /// - Parameter weights: the part's tensors as the files hold them; afterwards as the quantised part runs.
    func callAsFunction(
        _ part: DecoderPart, number: Int, _ weights: inout [String: Tensor], _ states: CalibrationStates,
        _ outcome: inout BlockQuantizer.Outcome, _ began: (DecoderProduct, Int) -> Void
    ) throws(ModelError) {
        var inputs = [[Tensor]](repeating: [], count: part.steps.count)
        try states.observe(try blocks.runner(part, weights)) { (step, rows) throws(ModelError) in
            inputs[step].append(rows)
        }
        for product in part.steps.joined() {
            weights[product.parameter] = weights[product.parameter]?.converted(to: .float32)
        }
        var statistics = [InputHessian?](repeating: nil, count: part.steps.count)
        for (step, products) in part.steps.enumerated() where part.canFold(step) {
            began(products[0], outcome.products.count)
            let magnitudes = try magnitudes(products[0], inputs[step])
            let wanted: [Float]
            if step == 0 {
                wanted = try search(part, weights, magnitudes, inputs[step], states.batches)
            } else {
                let hessian = try hessian(products[0], inputs[step])
                wanted = try search(products[0], weights, magnitudes, hessian)
                statistics[step] = hessian
            }
            let folded = try Self.fold(wanted, into: part, step: step, &weights)
            for name in folded.changed { outcome.changed[name] = weights[name] }
            let inverse = folded.scales.map { 1 / $0 }
            inputs[step] = inputs[step].map { $0.scalingColumns(inverse) }
            statistics[step] = try ModelError.quantizing(products[0].module) { () throws(QuantizationError) in
                try statistics[step]?.scalingInputs(inverse)
            }
        }
        for (step, products) in part.steps.enumerated() {
            let statistics = if let known = statistics[step] { known } else { try hessian(products[0], inputs[step]) }
            for product in products {
                guard let weight = weights[product.parameter] else { continue }
                began(product, outcome.products.count)
                let clipped = try clip(product, weight, inputs[step])
                let result = try quantizer(product, weight, clipped: clipped, block: number, statistics)
                weights[product.parameter] = result.weight.dequantized()
                outcome.products.append(result)
            }
        }
    }

    private func hessian(_ product: DecoderProduct, _ inputs: [Tensor]) throws(ModelError) -> InputHessian {
        var result = InputHessian(inputs: product.inputs)
        for rows in inputs { try quantizer.add(rows, to: &result, product) }
        return result
    }

    /// The weight with what is best cut of it; `nil` where nothing is.
    ///
    /// Queries and keys are left whole: their errors meet in a product, which the search does not see.
    private func clip(
        _ product: DecoderProduct, _ weight: Tensor, _ inputs: [Tensor]
    ) throws(ModelError) -> Tensor? {
        guard clips, !["query", "key"].contains(product.name) else { return nil }
        return try ModelError.quantizing(product.module) { () throws(QuantizationError) in
            let maxima = try awq.searchClip(
                weight: weight, inputs: inputs, scheme: quantizer.scheme, context: blocks.context)
            return try AWQ.applyClip(maxima, to: weight, scheme: quantizer.scheme)
        }
    }

    private func magnitudes(_ product: DecoderProduct, _ inputs: [Tensor]) throws(ModelError) -> ActivationStatistics {
        try ModelError.quantizing(product.module) { () throws(QuantizationError) in
            var result = ActivationStatistics(inputs: product.inputs)
            for rows in inputs { try result.add(rows) }
            return result
        }
    }

    /// The scales of a part's inputs that keep the output of attention, or of the feed-forward layer, nearest.
    private func search(
        _ part: DecoderPart, _ weights: [String: Tensor], _ magnitudes: ActivationStatistics, _ inputs: [Tensor],
        _ batches: [RaggedBatch]
    ) throws(ModelError) -> [Float] {
        let products = part.steps[0]
        do {
            return try awq.searchScales(
                statistics: magnitudes, weights: products.compactMap { weights[$0.parameter] },
                scheme: quantizer.scheme, context: blocks.context
            ) { candidates in
                var changed = weights
                for (product, candidate) in zip(products, candidates) { changed[product.parameter] = candidate }
                let runner = try blocks.innerRunner(part, changed)
                return try zip(inputs, batches).map { try runner($0, $1) }
            }.scales
        } catch let error as ModelError {
            throw error
        } catch let error as QuantizationError {
            throw .quantization(place: products[0].module, error)
        } catch {
            throw .invalidInput(
                operand: "the search for scales at \(products[0].module)", expected: "to end", actual: "\(error)")
        }
    }

    /// The scales of a product's inputs that keep its own output nearest.
    private func search(
        _ product: DecoderProduct, _ weights: [String: Tensor], _ magnitudes: ActivationStatistics,
        _ hessian: InputHessian
    ) throws(ModelError) -> [Float] {
        try ModelError.quantizing(product.module) { () throws(QuantizationError) in
            guard let weight = weights[product.parameter] else { return [Float](repeating: 1, count: product.inputs) }
            return try awq.searchScales(
                hessian: hessian, statistics: magnitudes, weight: weight, scheme: quantizer.scheme,
                context: blocks.context
            ).scales
        }
    }

    /// Multiplies the columns of a step's weights and divides where the step's inputs are made, so that the part's
    /// function stays what it was.
    ///
    /// Cost: O(parameters of the step).
    /// - Returns: the scales as they are, where a gain of few bits cannot be divided by those that were wanted, and the
    ///   parameters outside of the products that have changed.
    static func fold(
        _ wanted: [Float], into part: DecoderPart, step: Int, _ weights: inout [String: Tensor]
    ) throws(ModelError) -> (scales: [Float], changed: [String]) {
        var scales = wanted
        var changed: [String] = []
        if step == 0 {
            guard let gain = weights[part.gainParameter] else { return (scales, []) }
            let old = gain.floats()
            // The files keep the gain in its element type. Columns are multiplied by what the gain has really lost, so
            // that its rounding costs nothing.
            var new = try Self.vector(
                zip(old, wanted).map { ($0 + part.gainOffset) / $1 - part.gainOffset }, like: gain, part.gainParameter
            ).floats()
            for index in old.indices where old[index] + part.gainOffset != 0 {
                let ratio = (old[index] + part.gainOffset) / (new[index] + part.gainOffset)
                if ratio.isFinite, ratio > 0 {
                    scales[index] = ratio
                } else {
                    (new[index], scales[index]) = (old[index], 1)
                }
            }
            weights[part.gainParameter] = try Self.vector(new, like: gain, part.gainParameter)
            changed.append(part.gainParameter)
        } else if let source = part.steps[0].last, let weight = weights[source.parameter] {
            let inverse = scales.map { 1 / $0 }
            weights[source.parameter] = weight.scalingRows(inverse)
            if let bias = weights[source.biasParameter] {
                weights[source.biasParameter] = try Self.vector(
                    zip(bias.floats(), inverse).map { $0 * $1 }, like: bias, source.biasParameter)
                changed.append(source.biasParameter)
            }
        }
        for product in part.steps[step] {
            weights[product.parameter] = weights[product.parameter]?.scalingColumns(scales)
        }
        return (scales, changed)
    }

    /// Numbers with the shape and element type of a tensor.
    private static func vector(_ numbers: [Float], like tensor: Tensor, _ place: String) throws(ModelError) -> Tensor {
        try ModelError.tensors(place) { () throws(TensorError) in
            try Tensor(numbers, shape: tensor.shape).converted(to: tensor.dtype)
        }
    }
}

extension Tensor {
    /// A matrix of F32 with every column multiplied by its own number.
    func scalingColumns(_ factors: [Float]) -> Tensor { scaling { factors[$1] } }

    /// A matrix of F32 with every row multiplied by its own number.
    func scalingRows(_ factors: [Float]) -> Tensor { scaling { row, _ in factors[row] } }

    private func scaling(_ factor: (Int, Int) -> Float) -> Tensor {
        let source = contiguous()
        let result = Tensor(unwritten: shape)
        let columns = shape[1]
        let target = result.freshMutableAddress.assumingMemoryBound(to: Float.self)
        withExtendedLifetime(source) {
            let numbers = source.baseAddress.assumingMemoryBound(to: Float.self)
            for row in 0..<shape[0] {
                for column in 0..<columns {
                    target[row * columns + column] = numbers[row * columns + column] * factor(row, column)
                }
            }
        }
        return result
    }
}
