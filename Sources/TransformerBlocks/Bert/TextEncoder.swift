public import AttentionCore
import Foundation
public import Kernels
public import TensorCore
public import Tokenizers

/// Turns texts into vectors: a BERT encoder from a Hugging Face directory, with any attention operator.
public struct TextEncoder: Sendable {
    /// Cuts texts into tokens.
    public let tokenizer: Tokenizer
    /// The model with its weights.
    public let network: Network
    /// Tokens of a text beyond this are cut off.
    public let maximumLength: Int
    /// Places of the model: no sequence can be longer.
    public let positions: Int
    /// Features of a vector.
    public let width: Int

    /// Rows of a matrix beyond which no text is added to a batch: enough to fill the threads, little enough memory.
    private static let batchTokens = 2048

    /// Opens a directory: `config.json`, `model.safetensors`, the tokenizer's files, and those of sentence-transformers
    /// (`modules.json`, pooling, `sentence_bert_config.json`); without these the tokens' rows are averaged.
    ///
    /// Cost: O(weights), for packing.
    /// - Parameters:
    ///   - attention: the operator of every layer; by default the dispatcher's choice.
    ///   - registry: where operators are found by name.
    ///   - context: by default what the environment asks for.
    /// - Throws: ``ModelError`` that names the file and field, tensor or layer.
    public init(
        directory: String, attention: AttentionSpecification? = nil, registry: OperatorRegistry,
        context: ComputeContext? = nil
    ) throws(ModelError) {
        let configuration = try BertConfiguration(directory: directory)
        do {
            tokenizer = try Tokenizer(directory: directory)
        } catch {
            throw .tokenizer(error)
        }
        guard tokenizer.vocabularySize <= configuration.vocabulary else {
            throw .invalidField(
                place: directory + "/config.json", field: "vocab_size",
                expected: "at least the \(tokenizer.vocabularySize) tokens of the tokenizer",
                actual: "\(configuration.vocabulary)")
        }
        let files = try SentenceTransformerFiles(
            directory: directory, width: configuration.width, lowercases: tokenizer.lowercases)
        maximumLength = min(files.maximumLength ?? configuration.maximumLength, configuration.maximumLength)
        positions = configuration.maximumLength
        var model = configuration.model(attention: attention ?? AttentionSpecification())
        model.layers += files.layers
        network = try Network(
            model, weights: try Self.weights(directory, configuration), registry: registry, context: context)
        width = model.outputWidth
    }

    private static func weights(
        _ directory: String, _ configuration: BertConfiguration
    ) throws(ModelError) -> SafetensorsWeights {
        let path = directory + "/model.safetensors"
        guard FileManager.default.fileExists(atPath: path) else {
            let others = ["pytorch_model.bin", "tf_model.h5", "model.safetensors.index.json"].filter {
                FileManager.default.fileExists(atPath: directory + "/" + $0)
            }
            let hint = others.isEmpty ? "" : "; \(others.joined(separator: " and ")) cannot be read"
            throw .unreadable(file: path, reason: "no such file" + hint)
        }
        let plain = try SafetensorsWeights(path: path)
        let prefix = plain.names.contains("bert.embeddings.word_embeddings.weight") ? "bert." : ""
        return plain.renamed(configuration.parameterNames(prefix: prefix))
    }

    /// The tokens of a text, cut to ``maximumLength``.
    /// - Throws: ``ModelError/tokenizer(_:)``.
    public func tokens(_ text: String) throws(ModelError) -> Encoding {
        do {
            return try tokenizer.encode(text, maximumLength: maximumLength)
        } catch {
            throw .tokenizer(error)
        }
    }

    /// The vectors of texts, `[texts, width]`: each has the same bits whatever stands beside it.
    /// - Parameter progress: called after each batch with how many texts are done, and with how many there are.
    /// - Throws: ``ModelError``.
    public func encode(
        _ texts: [String], progress: ((_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(ModelError) -> Tensor {
        var encodings: [Encoding] = []
        for text in texts { encodings.append(try tokens(text)) }
        return try encode(cut: encodings, progress: progress)
    }

    /// The same of texts that are cut into tokens already, by ``tokens(_:)``.
    package func encode(
        cut encodings: [Encoding], progress: ((_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(ModelError) -> Tensor {
        let result = Tensor(zeros: [encodings.count, width])
        var start = 0
        while start < encodings.count {
            let end = Self.batchEnd(encodings, from: start)
            let batch = try RaggedBatch(
                encodings[start..<end].map(\.ids), typeIds: encodings[start..<end].map(\.typeIds))
            let rows = try network.forward(batch)
            let target = result.freshMutableAddress + start * width * DType.float32.byteWidth
            withExtendedLifetime(rows) {
                target.copyMemory(from: rows.baseAddress, byteCount: rows.count * DType.float32.byteWidth)
            }
            start = end
            progress?(start, encodings.count)
        }
        return result
    }

    private static func batchEnd(_ encodings: [Encoding], from start: Int) -> Int {
        var end = start + 1
        var tokens = encodings[start].count
        while end < encodings.count, tokens + encodings[end].count <= batchTokens {
            tokens += encodings[end].count
            end += 1
        }
        return end
    }
}
