import AttentionCore
import AttentionOperators
import Foundation
import Kernels
import PagedEngine
import TensorCore
import TransformerBlocks

/// Engines on the tiny random checkpoints of `Tests/Fixtures/decoders`.
enum EngineSupport {
    struct Case: Decodable {
        let prompt: [Int]
        let continuation: [Int]
    }

    static let registry = OperatorRegistry.builtIn
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/decoders").path
    static let cases =
        (try? JSONDecoder().decode(
            [String: Case].self, from: Data(contentsOf: URL(fileURLWithPath: folder + "/cases.json")))) ?? [:]
    static let names = cases.keys.sorted()

    static func model(
        _ name: String, attention: [AttentionSpecification] = [], threads: Int = 2, isa: String? = nil
    ) throws -> EngineModel {
        let model = try CausalLanguageModel(
            directory: "\(folder)/\(name)", attention: attention, registry: registry,
            context: ComputeContext(threads: threads, isa: isa))
        return EngineModel(model, registry: registry, tokenizer: nil)
    }

    /// Runs requests to their ends.
    /// - Parameter each: called between two steps.
    static func run(
        _ engine: Engine, _ requests: [GenerationRequest], each: (Engine, Int) throws -> Void = { _, _ in }
    ) throws -> [Int: RequestOutput] {
        for request in requests { try engine.add(request) }
        var outputs: [Int: RequestOutput] = [:]
        var steps = 0
        while engine.hasWork {
            for event in try engine.step() {
                switch event {
                case .finished(let id, let output): outputs[id] = output
                case .failed(_, let error): throw error
                case .delta: break
                }
            }
            steps += 1
            try each(engine, steps)
        }
        return outputs
    }

    /// Requests of unequal length: sampled, several at once, ranked, greedy and beams, some beginning alike.
    static func mixture(_ count: Int, longest: Int = 90) -> [GenerationRequest] {
        var random = CounterRandom(seed: 2)
        let common = (0..<20).map { _ in Int.random(in: 3..<150, using: &random) }
        return (0..<count).map { id in
            let length = Int.random(in: 1...30, using: &random)
            var prompt = (0..<length).map { _ in Int.random(in: 3..<150, using: &random) }
            if id % 3 == 0 { prompt = common + prompt }
            let tokens = Int.random(in: 1...max(1, min(40, longest - prompt.count)), using: &random)
            let mode: GenerationRequest.Mode =
                switch id % 8 {
                case 0: .sampling(SamplingParams(n: 4, seed: id, maxTokens: tokens, logprobs: 2))
                case 1: .beam(BeamSearchParams(beamWidth: 4, maxTokens: min(tokens, 12)))
                case 2: .sampling(SamplingParams(temperature: 0, ignoreEos: true, maxTokens: tokens, logprobs: 1))
                case 3: .sampling(SamplingParams(n: 2, bestOf: 3, topK: 20, seed: id, maxTokens: tokens))
                case 4:
                    .sampling(
                        SamplingParams(
                            presencePenalty: 0.4, repetitionPenalty: 1.2, seed: id, maxTokens: tokens, promptLogprobs: 1
                        ))
                default: .sampling(SamplingParams(topP: 0.9, seed: id, maxTokens: tokens, logprobs: 1))
                }
            return GenerationRequest(id: id, prompt: .tokens(prompt), mode: mode)
        }
    }
}
