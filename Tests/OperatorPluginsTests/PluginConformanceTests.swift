import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import OperatorPlugins
import TensorCore
import Testing

/// The example plugins keep the contract as built-in operators do; the leaking one does not.
@Suite struct PluginConformanceTests {
    private func configured(_ product: String, _ id: String) throws -> ConfiguredOperator {
        var registry = OperatorRegistry.builtIn
        try registry.loadPlugins([try PluginFiles.built(product)])
        return try registry[id]
    }

    @Test func everyCaseIsComparedOrRefused() throws {
        let report = ConformanceSuite.run(
            try configured("PlainPlugin", "plain-c"), contexts: [try ComputeContext(threads: 2)], minimumAccepted: 400)
        #expect(report.isPassing, "\(report)")
    }

    @Test func everyLawHolds() throws {
        let report = PropertyChecks(try configured("PlainPlugin", "plain-c"), context: try ComputeContext()).run()
        #expect(report.failures.isEmpty, "\(report.failures)")
    }

    @Test func approximateOperatorsAreComparedWithTheirOwnReference() throws {
        let mean = try configured("SwiftPlugin", "mean-swift")
        let inputs = operands(queries: 19, keys: 23)
        let options = AttentionOptions(mask: .window(left: 4, right: 1))
        let ours = try mean.forward(inputs, options: options)
        for precision in ReferencePrecision.allCases {
            let reference = try mean.reference(inputs, options: options, precision: precision)
            #expect(reference.output.dtype == (precision == .float ? .float32 : .float64))
            #expect(try ours.output.maxAbsoluteDifference(reference.output) < 1e-6)
        }
    }

    @Test func theLeakIsFound() throws {
        let leaky = try configured("LeakyPlugin", "leaky")
        let report = ConformanceSuite.run(leaky, contexts: [try ComputeContext()], minimumAccepted: 30)
        #expect(report.failures.contains { $0.contains("causal") })
        #expect(!PropertyChecks(leaky, context: try ComputeContext()).run().failures.isEmpty)
    }

    @Test func factsAreTheLibrarys() throws {
        let plain = try configured("PlainPlugin", "plain-softmax")
        #expect(plain.id == "plain-c")
        #expect(plain.capabilities.dtypes == [.float32])
        #expect(plain.capabilities.hasGradients)
        #expect(plain.capabilities.exactness == .exact)
        #expect(!plain.capabilities.features.contains(.dropout))
        #expect(plain.guide.choose == "as the start of a plugin of your own")
        let mean = try configured("SwiftPlugin", "mean-swift")
        #expect(mean.capabilities.hasGradients)
        #expect(mean.capabilities.exactness == .approximate(limit: "scale 0"))
        #expect(!mean.capabilities.traits.contains(.softmax))
        #expect(mean.capabilities.dtypes == [.float64, .float32] || mean.capabilities.dtypes == [.float32, .float64])
    }

    @Test func approximateGradientsAreComparedWithTheirOwnReference() throws {
        let mean = try configured("SwiftPlugin", "mean-swift")
        let inputs = operands(queries: 19, keys: 23)
        let options = AttentionOptions(mask: .window(left: 4, right: 1))
        let gradient = OutputGradient(output: .random(uniform: [2, 19, 4, 12], seed: 6))
        let ours = try mean.backward(inputs, gradient: gradient, options: options)
        let own = try mean.referenceGradients(inputs, gradient: gradient, options: options, precision: .double)
        #expect(own.value.dtype == .float64)
        #expect(try ours.value.maxAbsoluteDifference(own.value) < 1e-6)
        // At scale 0 softmax attention is the mean: its gradients by the values are too.
        let limit = AttentionOptions(scale: 0, mask: options.mask)
        let exact = try DenseReference.backward(inputs, gradient: gradient, options: limit, precision: .double)
        #expect(try ours.value.maxAbsoluteDifference(exact.value) < 1e-6)
        #expect(ours.query.floats().allSatisfy { $0 == 0 } && ours.key.floats().allSatisfy { $0 == 0 })
        let rows = OutputGradient(output: gradient.output, logSumExp: Tensor(zeros: [2, 4, 19]))
        #expect(throws: AttentionError.self) { try mean.backward(inputs, gradient: rows, options: options) }
    }

    @Test func approximateOperatorsReachTheirLimit() throws {
        let mean = try configured("SwiftPlugin", "mean-swift")
        let inputs = operands(queries: 19, keys: 23)
        let options = AttentionOptions(scale: 0, mask: .causal)
        let ours = try mean.forward(inputs, options: options)
        let exact = try DenseReference.forward(inputs, options: options, precision: .double)
        #expect(try ours.output.maxAbsoluteDifference(exact.output) < 1e-6)
    }

    private func operands(queries: Int, keys: Int) -> AttentionInputs {
        AttentionInputs(
            query: .random(uniform: [2, queries, 4, 16], seed: 1), key: .random(uniform: [2, keys, 2, 16], seed: 2),
            value: .random(uniform: [2, keys, 2, 12], seed: 3))
    }

    @Test(arguments: [1, 4])
    func masksThatAreNoBandAreWrittenIntoTheDenseMask(heads: Int) throws {
        let plain = try configured("PlainPlugin", "plain-c")
        var inputs = operands(queries: 19, keys: 23)
        inputs.mask = try Tensor(
            Tensor.random(uniform: [2, heads, 19, 23], seed: 4).floats().map { $0 > -0.5 }, shape: [2, heads, 19, 23])
        let odd = MaskFunction("odd heads skip odd keys") { _, key, geometry in
            geometry.head % 2 == 0 || key % 2 == 0
        }
        for mask in [
            AttentionMask.function(odd), .or([.prefix(length: 3), .causal]), .and([.causal, .not(.prefix(length: 2))]),
        ] {
            for given in [inputs.mask, nil] {
                inputs.mask = given
                let options = AttentionOptions(mask: mask)
                let ours = try plain.forward(inputs, options: options)
                let exact = try plain.reference(inputs, options: options, precision: .double)
                #expect(try ours.output.maxAbsoluteDifference(exact.output) < 1e-6, "\(mask)")
            }
        }
    }

    @Test(arguments: [("PlainPlugin", "plain-c", 400), ("SwiftPlugin", "mean-swift", 300), ("LeakyPlugin", "leaky", 0)])
    func gradientsAreProvenOrRefused(product: String, id: String, minimum: Int) throws {
        let report = GradientSuite.prove(try configured(product, id))
        #expect(report.isPassing, "\(report)")
        #expect(report.accepted >= minimum * ComputeContext.availableISAs.count / 3)
    }

    @Test(arguments: [AttentionMask.full, .causal, .window(left: 5, right: 2), .or([.prefix(length: 3), .causal])])
    func gradientsAreThoseOfTheReference(mask: AttentionMask) throws {
        let plain = try configured("PlainPlugin", "plain-c")
        var inputs = operands(queries: 19, keys: 23)
        inputs.bias = .random(uniform: [1, 4, 1, 23], seed: 5)
        inputs.alibiSlopes = [0.5, 0.25, 0.125, 0]
        inputs.sinks = [0.5, -1, 2, -.infinity]
        inputs.keyLengths = [23, 11]
        let options = AttentionOptions(mask: mask, softcap: 2)
        let gradient = OutputGradient(
            output: .random(uniform: [2, 19, 4, 12], seed: 6), logSumExp: .random(uniform: [2, 4, 19], seed: 7))
        let ours = try plain.backward(inputs, gradient: gradient, options: options)
        let exact = try plain.referenceGradients(inputs, gradient: gradient, options: options, precision: .double)
        #expect(try ours.query.maxAbsoluteDifference(exact.query) < 1e-5)
        #expect(try ours.key.maxAbsoluteDifference(exact.key) < 1e-5)
        #expect(try ours.value.maxAbsoluteDifference(exact.value) < 1e-5)
        #expect(try #require(ours.bias).maxAbsoluteDifference(try #require(exact.bias)) < 1e-5)
        #expect(try #require(ours.sinks).maxAbsoluteDifference(try #require(exact.sinks)) < 1e-5)
    }
}
