package import TensorCore

extension ModelQuantizer {
    /// The tensors of the blocks, by the checkpoint's names, with scales folded in and nothing quantised: the model computes
    /// what it did.
    ///
    /// Cost: O(weights), all of them in Float.
    /// - Parameter scales: the factors of the columns of the products that share an input, by the first one's name and the
    ///   number of inputs; is not asked about products that nothing can be folded into.
    /// - Throws: ``ModelError`` for scales that cannot be folded.
    package func folded(
        _ scales: (_ module: String, _ inputs: Int) -> [Float]
    ) throws(ModelError) -> [String: Tensor] {
        var result: [String: Tensor] = [:]
        for part in blocks.blocks.joined() {
            var weights = blocks.weights(of: part)
            for product in part.steps.joined() {
                weights[product.parameter] = weights[product.parameter]?.converted(to: .float32)
            }
            for (step, products) in part.steps.enumerated() where part.canFold(step) {
                _ = try ScaledPartQuantizer.fold(
                    scales(products[0].module, products[0].inputs), into: part, step: step, &weights)
            }
            for (parameter, tensor) in weights {
                guard let name = part.parameters[parameter] else { continue }
                result[name] = tensor
            }
        }
        return result
    }
}
