import AttentionCore
import Foundation
import PagedEngine
import TensorCore
import Testing

/// What an engine refuses, in words.
@Suite struct EngineErrorTests {
    private static func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "nothing was thrown"
        } catch {
            return "\(error)"
        }
    }

    @Test func impossibleOptionsAreRefused() throws {
        let model = try EngineSupport.model("llama3-f16")
        for (options, text) in [
            (EngineOptions(memoryUtilization: 0), "memoryUtilization is 0.0; expected a fraction above 0, up to 1"),
            (EngineOptions(memoryUtilization: 1.5), "memoryUtilization is 1.5; expected a fraction above 0, up to 1"),
            (EngineOptions(pageSize: 0), "pageSize is 0; expected at least 1"),
            (EngineOptions(maxModelLen: 1000), "maxModelLen is 1000; expected at most 96, the model's"),
            (EngineOptions(cacheDType: .int64), "cacheDType is I64; expected F32, F16, BF16 or I8"),
        ] {
            #expect(Self.message { _ = try Engine(model, options: options) } == text)
        }
    }

    @Test func tooLittleMemoryIsToldInBytes() throws {
        let model = try EngineSupport.model("llama3-f16")
        let little = Self.message { _ = try Engine(model, options: EngineOptions(memoryUtilization: 1e-9)) }
        #expect(little.contains("raise memoryUtilization to 0.0"))
        #expect(little.contains("bytes are needed"))
        let much = Self.message { _ = try Engine(model, options: EngineOptions(pageCount: 1 << 40)) }
        #expect(much.contains("pages do not fit into memory; lower pageCount"))
        let swap = Self.message {
            _ = try Engine(
                model, options: EngineOptions(pageCount: 100, swapSpace: 1 << 20, swapDirectory: "/no/such/folder"))
        }
        #expect(swap.contains("no swap space") && swap.contains("/no/such/folder"))
        // Swapped pages in a file are not held against memory: the folder is what is wrong.
        let large = Self.message {
            _ = try Engine(
                model, options: EngineOptions(pageCount: 100, swapSpace: 1 << 50, swapDirectory: "/no/such/folder"))
        }
        #expect(large.contains("no swap space"))
    }

    @Test func requestsThatCannotRunAreRefusedAtOnce() throws {
        let engine = try Engine(
            EngineSupport.model("llama3-f16"), options: EngineOptions(pageSize: 4, pageCount: 24, maxQueue: 1))
        func add(_ id: Int, _ prompt: Prompt, _ params: SamplingParams) -> String {
            Self.message { try engine.add(GenerationRequest(id: id, prompt: prompt, mode: .sampling(params))) }
        }
        #expect(add(0, .tokens([]), SamplingParams()).contains("prompt is 0; expected at least 1 token"))
        #expect(add(0, .tokens([1, 157]), SamplingParams()).contains("token 157"))
        #expect(add(0, "text", SamplingParams()).contains("no tokenizer"))
        #expect(add(0, .tokens([1]), SamplingParams(stop: ["x"])).contains("no tokenizer"))
        #expect(add(0, .tokens([1]), SamplingParams(topP: 2)).contains("topP is 2.0"))
        let tooLong = add(0, .tokens([Int](repeating: 5, count: 96)), SamplingParams())
        #expect(tooLong.contains("the prompt has 96 tokens; expected at most 95"))
        // Four continuations of the model's length never fit 24 pages of 4.
        let tooWide = add(0, .tokens([1]), SamplingParams(n: 4, maxTokens: nil))
        #expect(tooWide.contains("may need") && tooWide.contains("bytes"))
        #expect(!engine.hasWork)
        #expect(add(0, .tokens([1]), SamplingParams()) == "nothing was thrown")
        #expect(add(1, .tokens([1]), SamplingParams()) == "1 requests are waiting already (maxQueue)")
    }

    @Test func parallelismIsRefused() {
        let text = Self.message {
            _ = try LLM(model: "anywhere", tensorParallelSize: 2, registry: EngineSupport.registry)
        }
        #expect(text == "tensorParallelSize 2 is not supported: one process runs the whole model; use 1")
    }
}
