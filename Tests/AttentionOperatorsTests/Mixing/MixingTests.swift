import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// Mixing operators with options beside their defaults; the defaults are proven with every other operator.
@Suite struct MixingTests {
    @Test(arguments: MixingVariants.all, ComputeContext.availableISAs)
    func optionsConform(variant: MixingVariants, isa: String) throws {
        let configured = try OperatorRegistry.builtIn.make(variant.id, configuration: variant.configuration)
        let cases = variant.cases
        let report = ConformanceSuite.run(
            configured, contexts: [try ComputeContext(threads: 2, isa: isa)], cases: cases,
            minimumAccepted: cases.count / 4)
        #expect(report.isPassing, "\(variant.testDescription): \(report)")
    }

    @Test(arguments: MixingVariants.all, ComputeContext.availableISAs)
    func optionsHaveGradients(variant: MixingVariants, isa: String) throws {
        let configured = try OperatorRegistry.builtIn.make(variant.id, configuration: variant.configuration)
        let cases = variant.cases.filter { $0.queryLength < 200 || $0.batch * $0.heads < 5 }.map { GradientCase($0) }
        let report = GradientSuite.compare(
            configured, contexts: [try ComputeContext(threads: 2, isa: isa)], cases: cases)
        #expect(report.isPassing, "\(variant.testDescription): \(report)")
    }

    @Test(arguments: MixingVariants.all.filter { $0.lengths.contains { $0 < 50 } })
    func differencesOfOptions(variant: MixingVariants) throws {
        let configured = try OperatorRegistry.builtIn.make(variant.id, configuration: variant.configuration)
        let length = try #require(variant.lengths.first { $0 > 3 && $0 < 50 } ?? variant.lengths.first)
        let cases = variant.cases.filter { $0.queryLength == length && $0.heads == 1 }
        let report = GradientDifferences.run(configured, cases: cases.map { GradientCase($0) })
        #expect(report.isPassing, "\(variant.testDescription): \(report)")
        #expect(report.accepted > 0)
    }

    @Test(arguments: MixingVariants.all, ComputeContext.availableISAs)
    func threadsBatchAndStridesDoNotChangeABit(variant: MixingVariants, isa: String) throws {
        let configured = try OperatorRegistry.builtIn.make(variant.id, configuration: variant.configuration)
        let length = try #require(variant.lengths.last)
        var problem = AttentionCase("bits", queryLength: length, headDim: 3, valueDim: 7)
        problem.batch = 3
        problem.heads = 2
        problem.kvHeads = 2
        let inputs = try configured.initialising(problem.inputs()).inputs
        let weights = GradientCase(problem).gradient()
        func run(
            _ inputs: AttentionInputs, _ weights: OutputGradient, threads: Int = 1
        ) throws -> [Tensor] {
            let context = try ComputeContext(threads: threads, isa: isa)
            let output = try configured.forward(inputs, context: context).output
            return [output] + (try configured.backward(inputs, gradient: weights, context: context).named.map(\.tensor))
        }
        let first = try run(inputs, weights)
        for threads in [2, 3, 7] {
            let same = zip(first, try run(inputs, weights, threads: threads)).allSatisfy { $0.bitwiseEquals($1) }
            #expect(same, "\(threads) threads")
        }
        var views = inputs
        views.value = AttentionCase.strided(inputs.value)
        views.query = AttentionCase.strided(inputs.query)
        views.key = AttentionCase.strided(inputs.key)
        let stridedWeights = OutputGradient(output: AttentionCase.strided(weights.output))
        #expect(zip(first, try run(views, stridedWeights)).allSatisfy { $0.bitwiseEquals($1) }, "strides")
        for sequence in 0..<3 {
            var alone = inputs
            alone.query = try inputs.query.sliced(0, sequence..<sequence + 1)
            alone.key = try inputs.key.sliced(0, sequence..<sequence + 1)
            alone.value = try inputs.value.sliced(0, sequence..<sequence + 1)
            let own = try weights.output.sliced(0, sequence..<sequence + 1)
            let result = try run(alone, OutputGradient(output: own))
            for tensor in 0..<4 {
                let part = try first[tensor].sliced(0, sequence..<sequence + 1).contiguous()
                #expect(part.bitwiseEquals(result[tensor]), "sequence \(sequence) alone, tensor \(tensor)")
            }
        }
    }

    @Test(arguments: ["fourier-mix", "pooling"])
    func paddingIsNeverRead(id: String) throws {
        let configured = try OperatorRegistry.builtIn[id]
        var problem = AttentionCase("padding", queryLength: 20, headDim: 3, valueDim: 5)
        problem.batch = 3
        problem.keyLengths = [20, 7, 0]
        var inputs = problem.inputs()
        for queryLengths in [nil, [20, 4, 3]] {
            inputs.queryLengths = queryLengths
            let clean = try configured.forward(inputs).output
            let gradient = GradientCase(problem).gradient()
            let cleanGradient = try configured.backward(inputs, gradient: gradient).value
            var numbers = inputs.value.floats()
            var weights = gradient.output.floats()
            for (batch, length) in [20, 7, 0].enumerated() {
                for cell in (batch * 20 + length) * 5..<(batch + 1) * 100 { numbers[cell] = .nan }
                let rows = min(length, queryLengths?[batch] ?? 20)
                for cell in (batch * 20 + rows) * 5..<(batch + 1) * 100 { weights[cell] = .nan }
            }
            var spoilt = inputs
            spoilt.value = try Tensor(numbers, shape: inputs.value.shape)
            let result = try configured.forward(spoilt).output
            #expect(result.bitwiseEquals(clean))
            #expect(try result.sliced(0, 1..<2).sliced(1, 7..<20).doubles().allSatisfy { $0 == 0 })
            let spoiltGradient = OutputGradient(output: try Tensor(weights, shape: gradient.output.shape))
            #expect(try configured.backward(spoilt, gradient: spoiltGradient).value.bitwiseEquals(cleanGradient))
        }
    }

    @Test func refusalsSayWhatToDo() throws {
        func reasons(
            _ id: String, _ problem: AttentionProblem, _ configuration: [String: ConfigurationValue] = [:]
        ) throws -> [UnsupportedReason] {
            try OperatorRegistry.builtIn.make(id, configuration: configuration).unsupportedReasons(for: problem)
        }
        let causal = AttentionProblem(queryLength: 16, heads: 2, headDim: 8, options: .init(mask: .causal))
        #expect(
            try reasons("fourier-mix", causal) == [
                .init(
                    .causal, "cannot be had: a Fourier transform mixes every position, the future too",
                    remedy: "set causal to false")
            ])
        #expect(try reasons("visual", causal).map(\.aspect) == [.causal])
        #expect(try reasons("pooling", causal) == [])
        #expect(try reasons("pooling", causal, ["shape": [4, 4]]).map(\.aspect) == [.causal])
        let groups = AttentionProblem(queryLength: 16, heads: 4, kvHeads: 2, headDim: 8)
        let prime = AttentionProblem(queryLength: 17, heads: 2, headDim: 8)
        let scaled = AttentionProblem(queryLength: 16, heads: 2, headDim: 8, options: .init(scale: 1))
        for id in MixingVariants.blind {
            #expect(
                try reasons(id, groups) == [
                    .init(
                        .groupedQuery, "each of the 2 value heads comes out once, not 2 times",
                        remedy: "use 2 query heads")
                ])
            #expect(
                try reasons(id, scaled) == [
                    .init(.configuration, "scale has no meaning without scores", remedy: "leave scale out")
                ])
        }
        #expect(
            try reasons("visual", prime) == [
                .init(
                    .configuration, "17 positions have no grid with one side at most 4 times the other",
                    remedy: "set shape to [1, 17], or pad to 20 positions")
            ])
        #expect(try reasons("visual", prime, ["shape": [1, 17]]) == [])
        #expect(
            try reasons("visual", prime, ["shape": [4, 4]]) == [
                .init(
                    .configuration, "shape [4, 4] has 16 positions, and the problem 17",
                    remedy: "set shape to [1, 17]")
            ])
        var padded = AttentionProblem(queryLength: 16, heads: 2, headDim: 8, options: .init(mask: .causal))
        padded.keyLengths = [9]
        #expect(try reasons("pooling", padded).map(\.aspect) == [.queryLengths])
        padded.queryLengths = [9]
        #expect(try reasons("pooling", padded) == [])
        #expect(throws: AttentionError.self) {
            try OperatorRegistry.builtIn.make("pooling", configuration: ["size": 0])
        }
        #expect(throws: AttentionError.self) {
            try OperatorRegistry.builtIn.make("visual", configuration: ["shape": [0, 4]])
        }
    }

    @Test(arguments: ["visual", "lambda", "compositional"])
    func referencesInsistOnParameters(id: String) throws {
        let configured = try OperatorRegistry.builtIn[id]
        let problem = AttentionCase("missing", queryLength: 4, headDim: 2)
        #expect(throws: AttentionError.self) { try configured.reference(problem.inputs(), precision: .double) }
        #expect(throws: AttentionError.self) {
            try configured.referenceGradients(
                problem.inputs(), gradient: GradientCase(problem).gradient(), precision: .double)
        }
    }

    /// Pooling without subtraction is local attention whose scores are all equal.
    @Test func poolingIsLocalAttentionWithEqualScores() throws {
        for (size, isCausal) in [(3, false), (8, false), (400, false), (5, true)] {
            var problem = AttentionCase("limit", queryLength: 130, headDim: 8, valueDim: 12)
            problem.heads = 2
            problem.kvHeads = 2
            problem.batch = 2
            let pooling = try OperatorRegistry.builtIn.make(
                "pooling", configuration: ["size": .integer(size), "subtract": false])
            let sides = isCausal ? (size - 1, 0) : (size / 2, (size - 1) / 2)
            let ours = try pooling.forward(problem.inputs(), options: .init(mask: isCausal ? .causal : .full))
            let local = try OperatorRegistry.builtIn["local"].forward(
                problem.inputs(), options: .init(scale: 0, mask: .window(left: sides.0, right: sides.1)))
            #expect(try ours.output.maxAbsoluteDifference(local.output) < 1e-6)
        }
    }

    /// A pattern is what disturbing a value shows.
    @Test(arguments: MixingVariants.all.filter { ["pooling", "visual"].contains($0.id) })
    func patternsAreWhatIsSeen(variant: MixingVariants) throws {
        let configured = try OperatorRegistry.builtIn.make(variant.id, configuration: variant.configuration)
        let length = try #require(variant.lengths.last)
        let problem = AttentionCase("pattern", queryLength: length, headDim: 2)
        let inputs = try configured.initialising(problem.inputs()).inputs
        let geometry = MaskGeometry(queryLength: length, keyLength: length)
        for mask in [AttentionMask.full, .causal] {
            let options = AttentionOptions(mask: mask)
            let declared = try AttentionProblem(inputs, options: options)
            guard configured.unsupportedReasons(for: declared).isEmpty else { continue }
            let pattern = AttentionMask.and([mask, configured.pattern(for: declared)])
            for key in [0, length / 3, length - 1] {
                var spoilt = inputs
                var numbers = inputs.value.floats()
                numbers[2 * key] = .nan
                spoilt.value = try Tensor(numbers, shape: inputs.value.shape)
                let result = try configured.forward(spoilt, options: options).output.floats()
                for row in 0..<length {
                    #expect(
                        result[2 * row].isNaN == pattern.allows(query: row, key: key, geometry),
                        "\(mask), row \(row), key \(key)")
                }
            }
        }
    }

    /// A transform of a transform turns the positions around, times L and C.
    @Test(arguments: [1, 2, 12, 64, 97, 1000, 4096])
    func transformsTwiceIsAReflection(length: Int) throws {
        let problem = AttentionCase("twice", queryLength: length, headDim: 1, valueDim: 2)
        let transform = try OperatorRegistry.builtIn["fourier-mix"]
        var inputs = problem.inputs()
        // Even in positions and channels, so that every transform is real.
        var numbers = inputs.value.floats()
        for i in 0..<length { for c in 0..<2 { numbers[(length - i) % length * 2 + c] = numbers[i * 2 + c] } }
        inputs.value = try Tensor(numbers, shape: inputs.value.shape)
        let original = inputs.value
        inputs.value = try transform.forward(inputs).output
        let twice = try transform.forward(inputs).output.floats().map { $0 / Float(2 * length) }
        #expect(try Tensor(twice, shape: original.shape).maxAbsoluteDifference(original) < 2e-6)
    }
}
