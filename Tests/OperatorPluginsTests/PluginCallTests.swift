import AttentionCore
import Foundation
import Kernels
import OperatorPlugins
import TensorCore
import Testing

/// What happens in and after a call: failures, writes outside of outputs, reasons, options.
@Suite struct PluginCallTests {
    private let folder: PluginFolder

    init() throws { folder = try PluginFolder() }

    private func load(_ small: SmallPlugin) throws -> (path: String, registry: OperatorRegistry) {
        let path = try PluginFiles.compile(small.source, name: "small", in: folder.url)
        var registry = OperatorRegistry()
        try registry.loadPlugins([path])
        return (path, registry)
    }

    private func inputs(_ length: Int = 4) -> AttentionInputs {
        AttentionInputs(
            query: .random(uniform: [1, length, 2, 8], seed: 1), key: .random(uniform: [1, length, 2, 8], seed: 2),
            value: .random(uniform: [1, length, 2, 8], seed: 3))
    }

    private func failure(_ body: String) throws -> (path: String, message: String) {
        let (path, registry) = try load(SmallPlugin(body: body))
        let error = try #require(throws: AttentionError.self) { try registry["small"].forward(inputs()) }
        return (path, error.description)
    }

    @Test(arguments: [
        ("host->fail(host, \"no luck today\"); return 1;", "no luck today"),
        ("return -5;", "its forward function returned status -5"),
        (
            "((float *)outputs->output.data)[64] = 1; return 0;",
            "its forward function wrote outside of output, at byte 1 behind its end; its results are not used"
        ),
        (
            "((char *)outputs->output.data)[-2] = 1; return 0;",
            "its forward function wrote outside of output, at byte 2 before its start; its results are not used"
        ),
        (
            "((char *)outputs->output.data)[256 + 4095] = 1; return 0;",
            "its forward function wrote outside of output, at byte 4096 behind its end; its results are not used"
        ),
        (
            "memset(outputs->log_sum_exp, 0, 4 * 8 + 1); return 0;",
            "its forward function wrote outside of log_sum_exp, at byte 1 behind its end; its results are not used"
        ),
    ])
    func failures(body: String, expected: String) throws {
        let (path, message) = try failure(body)
        #expect(message == "'small' of '\(path)' failed: \(expected)")
    }

    @Test func gradientsAreGuardedToo() throws {
        let (path, registry) = try load(SmallPlugin(fields: ".backward = backward"))
        let error = try #require(throws: AttentionError.self) {
            try registry["small"].backward(inputs(), gradient: OutputGradient(output: Tensor(zeros: [1, 4, 2, 8])))
        }
        #expect(
            error.description
                == "'small' of '\(path)' failed: its backward function wrote outside of key_gradient, at byte 1 before "
                + "its start; its results are not used")
    }

    @Test func untouchedOutputsAreEmptyRows() throws {
        let result = try load(SmallPlugin()).registry["small"].forward(inputs())
        #expect(result.output.floats() == Array(repeating: 0, count: 64))
        #expect(result.logSumExp?.floats() == Array(repeating: -.infinity, count: 8))
    }

    @Test func reasonsComeFromFactsThenFromTheLibrary() throws {
        let registry = try load(SmallPlugin(fields: ".reasons = reasons")).registry
        let small = try registry["small"]
        #expect(small.unsupportedReasons(for: AttentionProblem(queryLength: 4, heads: 2, headDim: 8)).isEmpty)
        #expect(
            small.unsupportedReasons(for: AttentionProblem(queryLength: 5, heads: 2, headDim: 8)) == [
                UnsupportedReason(.configuration, "the number of queries is odd", remedy: "add a query")
            ])
        let error = try #require(throws: AttentionError.self) {
            try small.forward(inputs(), options: AttentionOptions(mask: .causal, dropout: 0.5))
        }
        guard case .unsupported("small", _, let reasons) = error else {
            Issue.record("threw \(error)")
            return
        }
        #expect(reasons.map(\.aspect) == [.causal, .dropout])
    }

    @Test func optionsReachTheLibraryAndUnknownOnesDoNot() throws {
        let (path, registry) = try load(
            SmallPlugin(fields: ".create = create, .destroy = free, .options = speed, .option_count = 1"))
        #expect(try registry.options(of: "small").map(\.name) == ["speed"])
        _ = try registry.make("small", configuration: ["speed": 8])
        let error = try #require(throws: AttentionError.self) {
            try registry.make("small", configuration: ["speed": 9])
        }
        #expect(
            error.description
                == "option 'configuration' is {\"speed\": 9}; expected options that 'small' of '\(path)' takes: "
                + "speed 9 is too fast")
        let unknown = try #require(throws: AttentionError.self) {
            try registry.make("small", configuration: ["sped": 9])
        }
        #expect(unknown.description == "small has no option 'sped'; did you mean 'seed' or 'speed'?")
    }

    @Test func parametersAreDeclaredInitialisedAndRead() throws {
        let registry = try load(
            SmallPlugin(
                body: """
                    if (inputs->parameter_count != 1 || inputs->parameters[0].shape[1] != 3) return 1;
                    memcpy(outputs->output.data, inputs->parameters[0].data, 6 * sizeof(float));
                    return 0;
                    """, fields: ".parameters = parameters, .backward = backward")
        ).registry
        let small = try registry["small"]
        let problem = AttentionProblem(queryLength: 4, heads: 2, headDim: 8)
        #expect(
            small.parameters(for: problem) == [
                OperatorParameter("gain", shape: [2, 3], initial: .ones, summary: "a factor for each head")
            ])
        let missing = try #require(throws: AttentionError.self) { try small.forward(inputs()) }
        #expect(
            missing.description == "parameter 'gain' is missing; expected [2, 3], a factor for each head")
        let ready = try small.initialising(inputs())
        #expect(ready.initialised == ["gain"])
        #expect(try small.forward(ready.inputs).output.floats().prefix(7) == [1, 1, 1, 1, 1, 1, 0])
        let gradients = try small.backward(
            ready.inputs, gradient: OutputGradient(output: .random(uniform: [1, 4, 2, 8], seed: 9)))
        let expected = Tensor.random(uniform: [1, 4, 2, 8], seed: 9).floats()[1]
        #expect(gradients.parameters["gain"]?.floats() == [0, 0, 0, 0, 0, expected])
    }

    @Test(arguments: [
        (
            "add(context, \"gain\", 9, shape, ZOO_INITIAL_ONES, 0, NULL);",
            "parameter 'gain' has rank 9; expected from 1 to 8"
        ),
        (
            "add(context, \"gain\", 1, shape, ZOO_INITIAL_IDENTITY, 0, NULL);",
            "parameter 'gain' of rank 1 cannot begin by rule 4"
        ),
        ("add(context, NULL, 1, shape, ZOO_INITIAL_ONES, 0, NULL);", "a parameter has no name"),
        (
            "add(context, \"a\", 1, shape, 0, 0, NULL); add(context, \"a\", 1, shape, 0, 0, NULL);",
            "two parameters are called 'a'"
        ),
    ])
    func parametersThatCannotBeAreReasons(declaration: String, expected: String) throws {
        let registry = try load(SmallPlugin(fields: ".parameters = parameters", parameters: declaration)).registry
        let problem = AttentionProblem(queryLength: 4, heads: 2, headDim: 8)
        #expect(
            try registry["small"].unsupportedReasons(for: problem) == [UnsupportedReason(.configuration, expected)])
    }

    @Test func aStructureOfItsOwnIsAMask() throws {
        let small = try load(SmallPlugin(fields: ".allows = allows")).registry["small"]
        let problem = AttentionProblem(queryLength: 2, keyLength: 3, heads: 2, headDim: 8)
        let pattern = small.pattern(for: problem)
        #expect(pattern.materialize(problem.geometry(0)) == [true, false, true, false, true, false])
        #expect(pattern.materialize(problem.geometry(0, head: 1)) == [false, true, false, true, false, true])
        // The reference sees through both: head 0 of query 0 may look at key 0 alone under a causal mask.
        let reference = try small.reference(inputs(), options: AttentionOptions(mask: .causal), precision: .float)
        #expect(Array(reference.output.floats()[0..<8]) == Array(inputs().value.floats()[0..<8]))
        #expect(reference.output.floats()[8..<16].allSatisfy { $0 == 0 })
    }

    @Test func theHeaderIsStrictCAndCPlusPlus() throws {
        let header = PluginFiles.root.appendingPathComponent("Sources/CZooPlugin/include/zoo_plugin.h").path
        for arguments in [["-x", "c", "-std=c11"], ["-x", "c++", "-std=c++17"]] {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments =
                ["clang"] + arguments + ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", header]
            try process.run()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0, "\(arguments)")
        }
    }

    @Test func parallelLoopsVisitEveryIndexOnce() throws {
        let body = """
            return count_indices(host, outputs);
            """
        let source = SmallPlugin(body: body).source.replacing(
            "static int32_t forward(",
            with: """
                static void add_one(void *state, int64_t index, int32_t worker) { ((float *)state)[index] += 1; }
                static int32_t count_indices(const struct zoo_host *host, const struct zoo_outputs *outputs) {
                    host->parallel_for(host, 64, add_one, outputs->output.data);
                    host->parallel_for(host, 0, add_one, NULL);
                    return host->abi_version != 1 || host->struct_size != sizeof(struct zoo_host) || host->threads != 3;
                }
                static int32_t forward(
                """, maxReplacements: 1)
        let path = try PluginFiles.compile(source, name: "parallel", in: folder.url)
        var registry = OperatorRegistry()
        try registry.loadPlugins([path])
        let result = try registry["small"].forward(inputs(), context: ComputeContext(threads: 3))
        #expect(result.output.floats() == Array(repeating: 1, count: 64))
    }
}
