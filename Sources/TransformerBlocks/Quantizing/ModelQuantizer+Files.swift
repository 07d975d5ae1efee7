import AttentionCore
import Foundation
import Kernels
import Quantization
import TensorCore

extension ModelQuantizer {
    /// Checks every product against the scheme and the format.
    ///
    /// Cost: O(weights of a product) for each different shape: a weight of that shape is put into the format.
    /// - Throws: ``ModelError/unquantizable(_:)`` with all products that do not fit.
    func check() throws(ModelError) {
        if quantizesHead, case .awqGEMM = format {
            throw .unquantizable([
                WeightMismatch(
                    tensor: products.last?.module ?? "the head",
                    expected: "a head that stays as it is: readers of awq files look for a plain weight there",
                    actual: "to be quantised")
            ])
        }
        let configuration = storedConfiguration
        var bad: [WeightMismatch] = []
        var failures: [Shape: WeightMismatch?] = [:]
        for product in products {
            let shape: Shape = [product.outputs, product.inputs]
            let failure = failures[shape] ?? failure(product, configuration)
            failures[shape] = .some(failure)
            if let failure {
                bad.append(
                    WeightMismatch(
                        tensor: "\(failure.tensor) of \(product.module) \(shape)", expected: failure.expected,
                        actual: failure.actual))
            }
        }
        guard bad.isEmpty else { throw .unquantizable(bad) }
    }

    /// Why a product's weight cannot be quantised as asked, or `nil`.
    private func failure(_ product: DecoderProduct, _ configuration: QuantizationConfiguration) -> WeightMismatch? {
        do throws(QuantizationError) {
            try scheme.validate(inputs: product.inputs)
        } catch {
            return WeightMismatch(tensor: error.field, expected: error.expected, actual: error.actual)
        }
        let size = scheme.groupSize ?? product.inputs
        let middle = UInt8(scheme.isTernary ? 1 : 1 << (scheme.bits - 1))
        let groups = product.outputs * (product.inputs / size)
        do {
            let weight = try QuantizedWeight(
                outputs: product.outputs, inputs: product.inputs, bits: scheme.bits, groupSize: size,
                codes: [UInt8](repeating: middle, count: product.outputs * product.inputs),
                scales: [Float](repeating: 1, count: groups), scaleType: scheme.scaleType,
                zeros: scheme.isTernary ? [Int16](repeating: 1, count: groups) : nil,
                groupIndex: configuration.isActOrdered && !configuration.hasStaticGroups && groups > product.outputs
                    ? (0..<product.inputs).map { Int32($0 / size) } : nil)
            _ = try CheckpointFormat.write(weight, module: product.module, configuration: configuration)
            return nil
        } catch let error as CheckpointFormatError {
            return WeightMismatch(tensor: error.field, expected: error.expected, actual: error.actual)
        } catch {
            return WeightMismatch(
                tensor: "the weight", expected: "one that can be quantised", actual: "refused: \(error)")
        }
    }

    /// The `quantization_config` of what is written.
    var storedConfiguration: QuantizationConfiguration {
        var result = QuantizationConfiguration(
            method: format, bits: scheme.bits, groupSize: scheme.groupSize,
            // Files mean 2^(bits − 1) by it, which is not where ternary weights have their zero.
            isSymmetric: scheme.isSymmetric && !scheme.isTernary, isTrueSequential: method.isSequential,
            hasQuantizedHead: quantizesHead)
        if case .gptq(let gptq, _) = method {
            result.isActOrdered = gptq.isActOrdered
            result.hasStaticGroups = gptq.isStaticGroups
            result.dampPercent = gptq.damping
        }
        let others = otherModules
        if case .gptq = format {
            result.rules = others.map {
                ModuleRule(pattern: NSRegularExpression.escapedPattern(for: $0), leavesOut: true)
            }
        } else {
            result.unconvertedModules = (quantizesHead ? [] : ["lm_head"]) + others
        }
        return result
    }

    /// Parts of the model beside the decoder, for example a tower for images, by the beginnings of their names.
    private var otherModules: [String] {
        let own = blocks.names.prefix.split(separator: ".").map(String.init)
        var result: Set<String> = []
        for name in blocks.files.names where !name.hasPrefix(blocks.names.prefix) {
            guard name.hasSuffix(".weight"), blocks.files[name]?.shape.rank == 2,
                name != blocks.names.head
            else { continue }
            let parts = name.split(separator: ".").map(String.init)
            let common = zip(parts, own).prefix { $0 == $1 }.count
            guard common + 1 < parts.count else { continue }
            result.insert(parts[...common].joined(separator: "."))
        }
        return result.sorted()
    }

    /// The model's `config.json` with what tells readers that the weights are quantised.
    /// - Throws: ``ModelError`` when the file has changed since it was read.
    func configuration() throws(ModelError) -> ConfigurationValue {
        let path = directory + "/config.json"
        guard case .object(var fields) = try JSONFile.value(path) else {
            throw .invalidField(place: path, field: "the document", expected: "an object", actual: "something else")
        }
        let text = try ModelError.checkpoint(at: "quantization_config") { () throws(CheckpointFormatError) in
            try storedConfiguration.json()
        }
        let stored = try ModelError.attention(at: "quantization_config") { () throws(AttentionError) in
            try ConfigurationValue(json: text)
        }
        guard case .object(var own) = stored else {
            throw .invalidField(
                place: "quantization_config", field: "the value", expected: "an object", actual: stored.jsonText)
        }
        // The layout's other readers pass over what GPTQModel keeps here.
        if case .gptq = format {
            own["meta"] = .object([
                "quantizer": .array([.string("zoo")]), CheckpointQuantization.methodField: .string(self.method.name),
            ])
        }
        fields["quantization_config"] = .object(own)
        if quantizesHead {
            // The head has a weight of its own now.
            fields["tie_word_embeddings"] = false
            if case .object(var inner)? = fields["text_config"] {
                inner["tie_word_embeddings"] = false
                fields["text_config"] = .object(inner)
            }
        }
        return .object(fields)
    }
}
