import AttentionZoo
import Foundation
import Testing

/// Documents packed into one sequence, each causal, and a window of 128 keys within each.
func packedDocuments(lengths: [Int]) throws -> AttentionOptions {
    let documents = try DocumentMask(lengths: lengths, inner: .causal)
    return AttentionOptions(mask: .and([.documents(documents), .window(left: 127, right: 0)]))
}

/// A prompt that sees itself whole, then a causal continuation.
func prefixLanguageModel(prompt: Int) -> AttentionOptions {
    AttentionOptions(mask: .or([.prefix(length: prompt), .causal]))
}

/// Every fourth key before the query: an expression, so tiles that it decides are never looked into.
let dilated = AttentionMask.function(
    MaskFunction("dilated(4)", where: (.key .<= .query) .& ((.query - .key) % 4 .== 0)))

/// A learned bias by distance, with the derivative that gradients need.
func relative(_ table: [Double]) -> ScoreFunction {
    ScoreFunction("relative", derivative: { _, _ in 1 }) { score, place in
        score + table[min(abs(place.query - place.key), table.count - 1)]
    }
}

/// The gradients of Σ weights · output.
func gradients(_ inputs: AttentionInputs, weights: Tensor) throws -> AttentionGradients {
    let flash = try OperatorRegistry.builtIn["flash"]
    let options = AttentionOptions(mask: .causal)
    let output = try flash.forward(inputs, options: options)
    return try flash.backward(inputs, output: output, gradient: .init(output: weights), options: options)
}

/// Half of the keys at a time, by different operators, and the exact whole.
func inTwoParts(_ inputs: AttentionInputs, keys: Int) throws -> AttentionOutput {
    let options = AttentionOptions(mask: .causal)
    let parts = [
        try OperatorRegistry.builtIn["flash"].partial(inputs, keys: 0..<keys / 2, options: options),
        try OperatorRegistry.builtIn["grouped-query"].partial(inputs, keys: keys / 2..<keys, options: options),
    ]
    return try AttentionOutput.merging(parts)
}

/// Continuations of two prompts, and a third as it grows.
func continuations(model directory: String) async throws -> [RequestOutput] {
    let llm = try LLM(model: directory, memoryUtilization: 0.5, registry: .builtIn)
    for try await news in llm.stream("The cat", SamplingParams(seed: 7, maxTokens: 16)) {
        print(news.text, terminator: "")
    }
    return try await llm.generate(["Once upon", "The end"], SamplingParams(temperature: 0, maxTokens: 32))
}

/// A model's weights in four bits, rounded.
func rounded(model directory: String, to output: String) throws -> QuantizationReport {
    let quantizer = try ModelQuantizer(
        directory: directory, method: .roundToNearest, scheme: QuantizationScheme(bits: 4, groupSize: 32),
        format: .gptq(isVersion2: true), registry: .builtIn)
    return try quantizer.quantize(calibration: [], to: output)
}

/// The guides show the functions above, and they do what they say.
@Suite struct LibraryGuideTests {
    @Test(arguments: [("library", 6), ("engine", 1), ("quantisation", 1)])
    func theGuideShowsWhatIsCompiledHere(name: String, count: Int) throws {
        let file = URL(fileURLWithPath: #filePath)
        let guide = try String(
            contentsOf: file.deletingLastPathComponent().appendingPathComponent("../../docs/\(name).md")
                .standardizedFileURL, encoding: .utf8)
        let source = try String(contentsOf: file, encoding: .utf8)
        let blocks = guide.components(separatedBy: "```swift\n").dropFirst()
            .compactMap { $0.components(separatedBy: "```").first?.trimmingCharacters(in: .newlines) }
        #expect(blocks.count == count)
        for block in blocks { #expect(source.contains(block), "\(block)") }
    }

    private static let inputs = AttentionInputs(
        query: .random(uniform: [1, 60, 4, 16], seed: 1), key: .random(uniform: [1, 60, 2, 16], seed: 2),
        value: .random(uniform: [1, 60, 2, 16], seed: 3))

    @Test func masksAndFunctionsMeetTheirReference() throws {
        let functions = AttentionOptions(mask: dilated, scoreFunction: relative([0, -1, -2, -3]))
        for options in [try packedDocuments(lengths: [20, 0, 40]), prefixLanguageModel(prompt: 10), functions] {
            let flash = try OperatorRegistry.builtIn["flash"]
            let result = try flash.forward(Self.inputs, options: options)
            let truth = try flash.reference(Self.inputs, options: options, precision: .double)
            #expect(try result.output.maxAbsoluteDifference(truth.output) <= 2e-6)
        }
    }

    @Test func gradientsAndPartsMeetTheirReference() throws {
        let weights = Tensor.random(uniform: [1, 60, 4, 16], seed: 4)
        let result = try gradients(Self.inputs, weights: weights)
        let truth = try DenseReference.backward(
            Self.inputs, gradient: .init(output: weights), options: .init(mask: .causal), precision: .double)
        #expect(try result.key.maxAbsoluteDifference(truth.key) <= 1e-5)
        let whole = try DenseReference.forward(Self.inputs, options: .init(mask: .causal), precision: .double)
        let merged = try inTwoParts(Self.inputs, keys: 60)
        #expect(try merged.output.maxAbsoluteDifference(whole.output) <= 2e-6)
    }
}
