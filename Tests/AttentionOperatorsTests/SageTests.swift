import AttentionCore
import AttentionOperators
import AttentionTesting
import Foundation
import Kernels
import TensorCore
import Testing

/// SageAttention: how far off products of bytes are, and that they are taken where they may be.
@Suite struct SageTests {
    private static func make(_ options: [String: ConfigurationValue] = [:]) throws -> ConfiguredOperator {
        try OperatorRegistry.builtIn.make("sage", configuration: options)
    }

    /// The root mean square of the differences from softmax attention in Double, as a part of that of the result.
    private static func error(
        _ configured: ConfiguredOperator, _ inputs: AttentionInputs, _ options: AttentionOptions = .init(),
        isa: String? = nil
    ) throws -> Double {
        let context = try ComputeContext(isa: isa)
        let ours = try configured.forward(inputs, options: options, context: context).output.doubles()
        let truth = try DenseReference.forward(inputs, options: options, precision: .double).output.doubles()
        let squares = zip(ours, truth).reduce((0.0, 0.0)) { sums, pair in
            (sums.0 + (pair.0 - pair.1) * (pair.0 - pair.1), sums.1 + pair.1 * pair.1)
        }
        return (squares.0 / squares.1).squareRoot()
    }

    /// Heads of `dim` channels, normally distributed; `outliers` are added to every thirteenth channel of every key.
    private static func activations(
        _ length: Int, dim: Int, heads: Int = 2, outliers: Float = 0
    ) throws -> AttentionInputs {
        let shape: Shape = [1, length, heads, dim]
        func normal(_ seed: UInt64) -> [Float] {
            let u = Tensor.random(uniform: shape, seed: seed).floats()
            let v = Tensor.random(uniform: shape, seed: seed + 100).floats()
            return zip(u, v).map { (-2 * log(max(abs($0), 1e-7))).squareRoot() * cos(Float.pi * $1) }
        }
        let keys = normal(2).enumerated().map { cell, number in
            number + (cell % dim % 13 == 0 ? outliers * (cell % dim % 2 == 0 ? 1 : -1) : 0)
        }
        return AttentionInputs(
            query: try Tensor(normal(1), shape: shape), key: try Tensor(keys, shape: shape),
            value: try Tensor(normal(3), shape: shape))
    }

    /// Short blocks, so that the standard cases have many of them; the operator's default is met by the registry's tests.
    @Test(arguments: ComputeContext.availableISAs, [32, 64])
    func bytesStayWithinTheDeclaredError(isa: String, keyBlock: Int) throws {
        let report = ConformanceSuite.run(
            try Self.make(["keyBlock": .integer(keyBlock)]), contexts: [try ComputeContext(threads: 2, isa: isa)],
            minimumAccepted: ConformanceCases.standard.filter {
                $0.dtype != .float64 && $0.hasInt8Keys != true && $0.pages == nil
            }.count)
        #expect(report.isPassing, "\(report)")
        print("sage, blocks of \(keyBlock) on \(isa): worst error \(report.worst) of its limit")
        // Otherwise nothing was rounded, or the limit is loose.
        #expect(report.worst.ratio > 0.5, "\(report.worst)")
    }

    /// Gradients are those of exact attention from a rounded output and log-sum-exp: as far off as these.
    @Test(arguments: ComputeContext.availableISAs)
    func gradientsOfRoundedBlocksStayWithinTheDeclaredError(isa: String) throws {
        let report = GradientSuite.compare(
            try Self.make(["keyBlock": 32]), contexts: [try ComputeContext(threads: 2, isa: isa)])
        #expect(report.isPassing, "\(report)")
        // Otherwise nothing was rounded.
        #expect(report.worst.ratio > 0.1, "\(report)")
        print("sage, gradients on \(isa): \(report)")
    }

    /// Laws of bits hold for rounded blocks too.
    ///
    /// The named ones compare two results to the precision of Float.
    @Test(arguments: ComputeContext.availableISAs)
    func lawsHoldForRoundedBlocks(isa: String) throws {
        let report = PropertyChecks(
            try Self.make(["keyBlock": 32]), context: try ComputeContext(threads: 2, isa: isa)
        ).run()
        let ofFloat = ["a constant added to a row of scores", "a bias of -infinity hides as a mask does"]
        let failures = report.failures.filter { failure in !ofFloat.contains { failure.hasPrefix($0) } }
        #expect(failures == [])
        #expect(report.inapplicable == [])
    }

    @Test(arguments: ComputeContext.availableISAs)
    func typicalErrorsAreAboutAHundredth(isa: String) throws {
        for dim in [64, 128] {
            let inputs = try Self.activations(512, dim: dim)
            for mask in [AttentionMask.full, .causal] {
                let found = try Self.error(Self.make(), inputs, AttentionOptions(mask: mask), isa: isa)
                print("sage on \(isa), D \(dim), \(mask): relative error \(found)")
                #expect((0.001...0.02).contains(found), "\(found)")
            }
        }
    }

    /// How bytes are multiplied changes nothing: the same integers, and the same Floats around them.
    @Test func tablesOfOneVectorLengthGiveTheSameBits() throws {
        guard ComputeContext.availableISAs.contains("avx512vnni") else { return }
        let inputs = try Self.activations(300, dim: 72)
        let results = try ["avx512", "avx512vnni"].map {
            try Self.make().forward(inputs, options: .init(), context: ComputeContext(isa: $0)).output
        }
        #expect(results[0].bitwiseEquals(results[1]))
    }

    /// What all keys share does not reach softmax, and must not make the steps of bytes coarse.
    @Test func outliersOfKeysAreSmoothedAway() throws {
        let plain = try Self.error(Self.make(), Self.activations(512, dim: 64))
        let outliers = try Self.error(Self.make(), Self.activations(512, dim: 64, outliers: 30))
        print("sage: relative error \(plain), with outliers of 30 \(outliers)")
        #expect(outliers < 1.2 * plain, "\(outliers) with outliers, \(plain) without")
    }

    /// Many small weights beside a large one: rounded to the nearest 255th each would be nothing.
    @Test func smallWeightsAreNotLost() throws {
        var inputs = try Self.activations(512, dim: 64, heads: 1)
        // One key of each block stands out by 7: the others weigh a thousandth of it, and together half as much.
        inputs.query = try Tensor([Float](repeating: 1, count: 512 * 64), shape: [1, 512, 1, 64])
        inputs.key = try Tensor(
            (0..<512 * 64).map { $0 / 64 % 128 == 5 ? 7.0 / 8 : 0 as Float }, shape: [1, 512, 1, 64])
        inputs.value = try Tensor(
            (0..<512 * 64).map { $0 / 64 % 128 == 5 ? -1 : 1 as Float }, shape: [1, 512, 1, 64])
        let found = try Self.error(Self.make(), inputs)
        print("sage: relative error \(found) with many small weights")
        #expect(found < 0.01, "\(found)")
    }

    @Test func realActivations() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../Sources/zoo/Resources/minilm-layer.safetensors").standardizedFileURL
        let tensors = try SafetensorsFile(path: file.path)
        let inputs = AttentionInputs(
            query: try tensors.tensor(named: "query"), key: try tensors.tensor(named: "key"),
            value: try tensors.tensor(named: "value"))
        let found = try Self.error(Self.make(["keyBlock": 32]), inputs)
        print("sage on a layer of MiniLM: relative error \(found)")
        #expect((0.001...0.02).contains(found), "\(found)")
    }

    /// A sequence of few queries has nothing to gain from bytes, and is exact.
    @Test func fewQueriesAreExact() throws {
        var inputs = try Self.activations(512, dim: 64)
        inputs.query = try inputs.query.sliced(1, 0..<16)
        #expect(try Self.error(Self.make(), inputs) < 1e-6)
        inputs.query = try Self.activations(512, dim: 64).query.sliced(1, 0..<17)
        #expect(try Self.error(Self.make(), inputs) > 1e-4)
    }

    @Test func sizesAreChecked() {
        for size in [0, 16, 33, 544] {
            #expect(
                throws: AttentionError.invalidOption(
                    name: "keyBlock", expected: "a multiple of 32 up to 512", actual: "\(size)")
            ) { try Self.make(["keyBlock": .integer(size)]) }
        }
        #expect(throws: AttentionError.invalidOption(name: "queryTile", expected: "from 1 to 4096", actual: "0")) {
            try Self.make(["queryTile": 0])
        }
    }
}
