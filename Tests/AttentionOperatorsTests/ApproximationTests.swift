import AttentionCore
import AttentionOperators
import AttentionTesting
import Foundation
import Kernels
import TensorCore
import Testing

/// Where approximations become exact, how their errors fall, and what their options must not change.
@Suite struct ApproximationTests {
    private func make(_ id: String, _ options: [String: ConfigurationValue]) throws -> ConfiguredOperator {
        try OperatorRegistry.builtIn.make(id, configuration: options)
    }

    /// The largest difference from softmax attention in Double, and the root of the mean square.
    private func error(
        _ configured: ConfiguredOperator, _ inputs: AttentionInputs, _ options: AttentionOptions = .init()
    ) throws -> (largest: Double, root: Double) {
        let prepared = try configured.initialising(inputs, options: options).inputs
        let ours = try configured.forward(prepared, options: options).output.doubles()
        let truth = try DenseReference.forward(inputs, options: options, precision: .double).output.doubles()
        let differences = zip(ours, truth).map { abs($0 - $1) }
        return (
            differences.max() ?? 0, (differences.reduce(0) { $0 + $1 * $1 } / Double(differences.count)).squareRoot()
        )
    }

    private func random(_ length: Int, dim: Int, amplitude: Float, heads: Int = 2) -> AttentionInputs {
        let shape: Shape = [1, length, heads, dim]
        return AttentionInputs(
            query: .random(uniform: shape, seed: 1, amplitude: amplitude),
            key: .random(uniform: shape, seed: 2, amplitude: amplitude), value: .random(uniform: shape, seed: 3))
    }

    /// Operands that change slowly along the sequence, as what landmarks and projections are made for.
    private func smooth(_ length: Int, dim: Int) throws -> AttentionInputs {
        func wave(_ phase: Double) throws -> Tensor {
            try Tensor(
                (0..<length * dim).map { cell -> Float in
                    let place = Double(cell / dim) / Double(length)
                    let feature = Double(cell % dim)
                    return Float(1.5 * sin(2 * .pi * place * (1 + feature / 2) + phase * (feature + 1)))
                }, shape: [1, length, 1, dim])
        }
        return AttentionInputs(query: try wave(0.3), key: try wave(1.1), value: try wave(2.7))
    }

    // MARK: Limits

    @Test func linformerIsExactWithAsManyProjectedKeys() throws {
        let found = try error(make("linformer", ["rank": 61]), random(61, dim: 24, amplitude: 2)).largest
        #expect(found < 1e-5, "\(found)")
    }

    @Test func nystromIsExactWithAsManyLandmarks() throws {
        let found = try error(
            make("nystrom", ["landmarks": 48, "iterations": 24]), random(48, dim: 24, amplitude: 3)
        ).largest
        #expect(found < 1e-4, "\(found)")
        // Few iterations damp what is nearly singular.
        let few = try error(make("nystrom", ["landmarks": 48]), random(48, dim: 24, amplitude: 3)).largest
        #expect(few > found, "\(few)")
    }

    @Test func orthoformerIsExactForOrthogonalQueriesOfGreatLength() throws {
        var inputs = random(16, dim: 16, amplitude: 0.2, heads: 1)
        // Four times the rows of a Hadamard matrix, in an order of their own: orthogonal, each of length 16.
        inputs.query = try Tensor(
            (0..<256).map { (($0 / 16 * 5 % 16) & ($0 % 16)).nonzeroBitCount % 2 == 0 ? 4 : -4 as Float },
            shape: [1, 16, 1, 16])
        let found = try error(make("orthoformer", ["landmarks": 16]), inputs).largest
        #expect(found < 1e-5, "\(found)")
        let fewer = try error(make("orthoformer", ["landmarks": 8]), inputs).largest
        #expect(fewer > 1e-3, "\(fewer)")
    }

    // MARK: Errors fall

    @Test(arguments: [false, true])
    func favorIsExactInTheLimitOfManyFeatures(isCausal: Bool) throws {
        // Short vectors, so that the limit is near within a few thousand features.
        var short = AttentionCase("short", queryLength: 48, headDim: 8)
        short.amplitude = 0.1
        let options = AttentionOptions(mask: isCausal ? .causal : .full)
        let found = try error(make("favor", ["features": 8192]), short.inputs(), options).largest
        #expect(found < 1e-4, "\(found)")
        let few = try error(make("favor", ["features": 8]), short.inputs(), options).largest
        #expect(few > 4 * found, "\(few) with 8 features, \(found) with 8192")
    }

    @Test(arguments: [("linformer", "rank"), ("nystrom", "landmarks")])
    func errorsFallWithRank(id: String, option: String) throws {
        let inputs = try smooth(512, dim: 8)
        var errors: [Double] = []
        for size in [4, 16, 64, 256] {
            var options: [String: ConfigurationValue] = [option: .integer(size)]
            if id == "nystrom" { options["iterations"] = 20 }
            errors.append(try error(make(id, options), inputs).root)
        }
        print("\(id), \(option) 4, 16, 64, 256: root mean square errors \(errors)")
        for (fewer, more) in zip(errors, errors.dropFirst()) { #expect(more < 0.5 * fewer, "\(errors)") }
    }

    @Test func errorsFallWithPrototypes() throws {
        // Queries of sixteen directions: a prototype for each is as good as each query its own.
        var inputs = random(256, dim: 16, amplitude: 0.3, heads: 1)
        inputs.query = try Tensor(
            (0..<256 * 16).map { cell in
                let (row, column) = (cell / 16, cell % 16)
                return (((row * 7 % 16) & column).nonzeroBitCount % 2 == 0 ? 3 : -3) * (1 + Float(row % 3) / 100)
            }, shape: [1, 256, 1, 16])
        let errors = try [2, 4, 8, 16].map { try error(make("orthoformer", ["landmarks": .integer($0)]), inputs).root }
        print("orthoformer, landmarks 2, 4, 8, 16: root mean square errors \(errors)")
        for (fewer, more) in zip(errors, errors.dropFirst()) { #expect(more < fewer, "\(errors)") }
        #expect(errors[3] < 0.1 * errors[0], "\(errors)")
    }

    @Test(arguments: [false, true])
    func favorErrsAsOneOverTheRootOfFeatures(causal: Bool) throws {
        let inputs = random(96, dim: 16, amplitude: 0.7)
        let sizes = [128, 512, 2048]
        let errors = try sizes.map { size in
            let squares = try (0..<12).map { seed in
                let options = AttentionOptions(mask: causal ? .causal : .full, seed: UInt64(seed))
                let root = try error(make("favor", ["features": .integer(size)]), inputs, options).root
                return root * root
            }
            return (squares.reduce(0, +) / Double(squares.count)).squareRoot()
        }
        print("favor, causal \(causal), features \(sizes): root mean square errors \(errors)")
        // Four times the features: half the error.
        for (fewer, more) in zip(errors, errors.dropFirst()) {
            #expect((1.6...2.5).contains(fewer / more), "\(errors)")
        }
    }

    // MARK: Options

    static let variants: [(String, [String: ConfigurationValue])] = [
        ("linformer", ["rank": 5]), ("nystrom", ["landmarks": 5, "iterations": 3, "convolution": 3]),
        ("orthoformer", ["landmarks": 3]), ("favor", ["features": 9]),
    ]

    @Test(arguments: variants)
    func optionsDoNotBreakConformance(id: String, options: [String: ConfigurationValue]) throws {
        let configured = try make(id, options)
        let context = try ComputeContext()
        let minimum = id == "favor" ? 200 : id == "nystrom" ? 44 : 100
        let report = ConformanceSuite.run(configured, contexts: [context], minimumAccepted: minimum)
        #expect(report.isPassing, "\(id) \(options): \(report)")
        let laws = PropertyChecks(configured, context: context).run()
        #expect(laws.failures.isEmpty, "\(id) \(options): \(laws.failures)")
    }

    @Test(arguments: variants)
    func gradientsOfVariantsAreProven(id: String, options: [String: ConfigurationValue]) throws {
        let report = GradientSuite.prove(try make(id, options))
        #expect(report.isPassing, "\(id) \(options): \(report)")
    }

    @Test func aSeedDecidesTheFeatures() throws {
        let inputs = random(20, dim: 8, amplitude: 1)
        let favor = try make("favor", ["features": 16])
        let first = try favor.forward(inputs, options: .init(seed: 1)).output
        #expect(first.bitwiseEquals(try favor.forward(inputs, options: .init(seed: 1)).output))
        #expect(!first.bitwiseEquals(try favor.forward(inputs, options: .init(seed: 2)).output))
    }

    @Test(arguments: ["linformer", "nystrom", "orthoformer"])
    func causalIsRefusedWithItsReason(id: String) throws {
        let problem = AttentionProblem(queryLength: 8, heads: 1, headDim: 8, options: .init(mask: .causal))
        let reasons = try make(id, [:]).unsupportedReasons(for: problem)
        #expect(reasons.map(\.aspect) == [.causal])
        #expect(reasons.first?.explanation.hasPrefix("cannot be honoured: ") == true)
        #expect(reasons.first?.remedy == "set causal to false")
    }

    @Test func impossibleOptionsAreRefused() {
        for (id, options): (String, [String: ConfigurationValue]) in [
            ("linformer", ["rank": 0]), ("nystrom", ["landmarks": 0]), ("nystrom", ["iterations": 65]),
            ("nystrom", ["convolution": 4]), ("orthoformer", ["landmarks": 0]), ("favor", ["features": 0]),
            ("favor", ["rank": 4]),
        ] {
            #expect(throws: AttentionError.self) { try make(id, options) }
        }
    }

    @Test func aLossOfALogSumExpThatDoesNotExistIsRefused() throws {
        let inputs = random(8, dim: 8, amplitude: 1)
        let gradient = OutputGradient(output: Tensor(zeros: [1, 8, 2, 8]), logSumExp: Tensor(zeros: [1, 2, 8]))
        #expect(throws: AttentionError.self) { try make("nystrom", [:]).backward(inputs, gradient: gradient) }
    }

    /// Times for the documentation: `ZOO_SCALING=1 swift test -c release --filter timeIsLinear`.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["ZOO_SCALING"] != nil))
    func timeIsLinear() throws {
        let context = try ComputeContext()
        for (id, mask) in [
            ("efficient", AttentionMask.full), ("efficient", .causal), ("favor", .full), ("favor", .causal),
            ("linformer", .full), ("nystrom", .full), ("orthoformer", .full),
        ] {
            let configured = try id == "efficient" ? EfficientAttentionTests.configured() : make(id, [:])
            for length in [4096, 16384, 65536] {
                var inputs = random(length, dim: 64, amplitude: 1, heads: 8)
                let options = AttentionOptions(mask: mask)
                inputs = try configured.initialising(inputs, options: options).inputs
                let times = try (0..<3).map { _ in
                    let start = ContinuousClock.now
                    _ = try configured.forward(inputs, options: options, context: context)
                    return ContinuousClock.now - start
                }
                let plan = configured.plan(try AttentionProblem(inputs, options: options), context: context)
                print(
                    "\(id), \(mask), L \(length), H 8, D 64: \(times.min() ?? .zero), workspace "
                        + "\(plan.workspaceBytes >> 20) MiB, \(context.isa), \(context.threads) threads")
            }
        }
    }
}
