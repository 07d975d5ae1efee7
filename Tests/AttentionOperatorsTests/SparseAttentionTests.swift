import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// Operators with a pattern of their own, against the dense reference over the conjunction of pattern and mask.
@Suite struct SparseAttentionTests {
    static let variants: [(id: String, configuration: [String: ConfigurationValue])] = [
        ("block-sparse", ["blockSize": 16, "pattern": ["name": "random", "density": 0.3, "perHead": true]]),
        ("block-sparse", ["blockSize": 24, "pattern": ["name": "random", "density": 0.4]]),
        ("block-sparse", ["blockSize": 32, "pattern": ["name": "bigbird", "randomBlocks": 1]]),
        ("block-sparse", ["blockSize": 16, "pattern": ["name": "longformer", "window": 20, "tokens": 2]]),
        ("block-sparse", ["blockSize": 64, "pattern": ["name": "strided", "stride": 70]]),
        ("block-sparse", ["blockSize": 17, "pattern": ["name": "dilated", "window": 2, "dilation": 40]]),
        ("random", ["density": 0.2]), ("random", ["density": 0.2, "blockSize": 16]), ("random", ["density": 0]),
        ("global", ["tokens": [0, 40, 41, 160]]), ("global", ["count": 3, "own": true]), ("global", ["count": 0]),
        ("factorized", ["scheme": ["name": "strided", "stride": 12]]),
        ("factorized", ["scheme": ["name": "fixed", "stride": 24, "summary": 3], "integration": "per-head"]),
        ("factorized", ["scheme": ["name": "fixed", "stride": 10], "integration": "alternating", "step": 3]),
    ]

    private static let masks: [AttentionMask] = {
        let blocks = try? BlockLayout(
            blockSize: 16, queryBlocks: 11, keyBlocks: 13, cells: (0..<143).map { $0 % 3 > 0 })
        let documents = try? DocumentMask(lengths: [60, 105], keyLengths: [90, 110])
        return [
            .full, .causal, .window(left: 50, right: 10), blocks.map { .blocks($0) } ?? .full,
            documents.map { .and([.documents($0), .causal]) } ?? .full, .or([.prefix(length: 20), .causal]),
        ]
    }()

    @Test(arguments: variants.indices, ComputeContext.availableISAs)
    func matchesTheReference(index: Int, isa: String) throws {
        let (id, configuration) = Self.variants[index]
        let configured = try OperatorRegistry.builtIn.make(id, configuration: configuration)
        for (number, mask) in Self.masks.enumerated() {
            for (queries, keys) in [(165, 200), (130, 130), (3, 77)] {
                var plain = AttentionCase("sparse", queryLength: queries, keyLength: keys, headDim: 20)
                plain.heads = 4
                plain.kvHeads = [4, 2, 1][number % 3]
                plain.batch = 2
                var inputs = plain.inputs()
                if number % 2 == 1 {
                    inputs.queryLengths = [queries, queries * 2 / 3]
                    inputs.keyLengths = [keys * 3 / 4, keys]
                    inputs.bias = .random(uniform: [1, 4, queries, keys], seed: 3)
                    inputs.sinks = [0, 1, -1, 0.5]
                }
                let options = AttentionOptions(
                    mask: mask, softcap: number == 2 ? 4 : nil, dropout: number == 3 ? 0.3 : 0, seed: 11)
                try check(configured, inputs, options, isa, "\(configuration) mask \(number) \(queries)x\(keys)")
            }
        }
    }

    private func check(
        _ configured: ConfiguredOperator, _ inputs: AttentionInputs, _ options: AttentionOptions, _ isa: String,
        _ name: String
    ) throws {
        let tolerance = try Tolerance(configured, inputs, options: options)
        let result = try configured.forward(
            inputs, options: options, context: ComputeContext(threads: 2, isa: isa))
        for excess in tolerance.errors(of: result) {
            #expect(excess.ratio <= 1, "\(configured.id) \(isa) \(name) \(excess.operand): \(excess)")
        }
    }

    @Test func modifiersThatCountKeysAreHonoured() throws {
        let shift = ScoreFunction("shift", derivative: { _, _ in 1 }) { score, place in
            score + Double(place.key % 5) - Double(place.query % 3)
        }
        for (id, configuration) in [Self.variants[0], Self.variants[1], Self.variants[9], Self.variants[12]] {
            let configured = try OperatorRegistry.builtIn.make(id, configuration: configuration)
            var plain = AttentionCase("sparse", queryLength: 150, keyLength: 150, headDim: 16)
            plain.heads = 2
            plain.kvHeads = 2
            var inputs = plain.inputs()
            inputs.alibiSlopes = [0.5, 0.1]
            inputs.mask = try Tensor((0..<150 * 150).map { $0 % 7 != 0 }, shape: [1, 1, 150, 150])
            let options = AttentionOptions(mask: .causal, dropout: 0.2, seed: 2, scoreFunction: shift)
            try check(configured, inputs, options, ComputeContext().isa, "counting")
            inputs.alibiSlopes = nil
            try check(configured, inputs, .init(mask: .causal, seed: 2), ComputeContext().isa, "dense mask")
        }
    }

    @Test func allBlocksKeptIsFullAttention() throws {
        let inputs = AttentionCase("full", queryLength: 150, keyLength: 190, headDim: 32).inputs()
        let row = ConfigurationValue.array(Array(repeating: 1, count: 3))
        let layouts: [[String: ConfigurationValue]] = [
            ["blockSize": 64, "layout": .array([row, row, row])],
            ["pattern": ["name": "random", "density": 1]], ["pattern": ["name": "window", "left": 1000]], [:],
        ]
        for mask in [AttentionMask.full, .causal] {
            let options = AttentionOptions(mask: mask)
            let flash = try OperatorRegistry.builtIn["flash"].forward(inputs, options: options)
            for configuration in layouts {
                let sparse = try OperatorRegistry.builtIn.make("block-sparse", configuration: configuration)
                    .forward(inputs, options: options)
                #expect(try flash.output.maxAbsoluteDifference(sparse.output) < 2e-6)
            }
        }
    }

    @Test func windowPatternIsTheWindowMaskWithinIt() throws {
        // Whole blocks are attended; under the same window as a mask the pattern changes nothing.
        let inputs = AttentionCase("window", queryLength: 200, headDim: 32).inputs()
        let options = AttentionOptions(mask: .window(left: 30, right: 5))
        let expected = try OperatorRegistry.builtIn["local"].forward(inputs, options: options)
        let sparse = try OperatorRegistry.builtIn.make(
            "block-sparse", configuration: ["blockSize": 16, "pattern": ["name": "window", "left": 30, "right": 5]])
        #expect(try expected.output.maxAbsoluteDifference(sparse.forward(inputs, options: options).output) < 2e-6)
        let blocks = try BlockLayout(blockSize: 8, queryBlocks: 25, keyBlocks: 25) { _, row in
            Array(max(0, row - 1)...row)
        }
        let masked = AttentionOptions(mask: .blocks(blocks))
        let flash = try OperatorRegistry.builtIn["flash"].forward(inputs, options: masked)
        let derived = try OperatorRegistry.builtIn["block-sparse"].forward(inputs, options: masked)
        #expect(try flash.output.maxAbsoluteDifference(derived.output) < 2e-6)
    }

    @Test func bitsDoNotDependOnThreadsOrBatchCompany() throws {
        for (id, configuration) in Self.variants.prefix(13) {
            let configured = try OperatorRegistry.builtIn.make(id, configuration: configuration)
            var plain = AttentionCase("bits", queryLength: 170, headDim: 16)
            plain.heads = 4
            plain.kvHeads = 2
            plain.batch = 3
            let inputs = plain.inputs()
            let options = AttentionOptions(mask: .causal, seed: 5)
            let whole = try configured.forward(inputs, options: options, context: ComputeContext(threads: 1))
            let threaded = try configured.forward(inputs, options: options, context: ComputeContext(threads: 3))
            #expect(whole.output.bitwiseEquals(threaded.output), "\(id)")
            let alone = AttentionInputs(
                query: try inputs.query.sliced(0, 1..<2), key: try inputs.key.sliced(0, 1..<2),
                value: try inputs.value.sliced(0, 1..<2))
            let part = try configured.forward(alone, options: options)
            #expect(try whole.output.sliced(0, 1..<2).contiguous().bitwiseEquals(part.output), "\(id)")
        }
    }

    @Test func hiddenKeysNeverReachAResult() throws {
        for (id, configuration) in Self.variants {
            let configured = try OperatorRegistry.builtIn.make(id, configuration: configuration)
            var plain = AttentionCase("hidden", queryLength: 140, headDim: 16)
            plain.heads = 2
            plain.kvHeads = 2
            let inputs = plain.inputs()
            let problem = try AttentionProblem(inputs, options: .init(seed: 5))
            let heads = problem.heads
            let clean = try configured.forward(inputs, options: problem.options)
            let pattern = configured.pattern(for: problem)
            for key in [0, 15, 16, 77, 139] {
                var poisoned = inputs
                var values = inputs.value.floats()
                let width = values.count / 140
                for cell in key * width..<(key + 1) * width { values[cell] = .nan }
                poisoned.value = try Tensor(values, shape: inputs.value.shape)
                let result = try configured.forward(poisoned, options: problem.options)
                for query in 0..<140 {
                    for head in 0..<heads
                    where !pattern.allows(query: query, key: key, problem.geometry(0, head: head)) {
                        let row = try result.output.sliced(1, query..<query + 1).sliced(2, head..<head + 1).contiguous()
                        let before = try clean.output.sliced(1, query..<query + 1).sliced(2, head..<head + 1)
                            .contiguous()
                        #expect(row.bitwiseEquals(before), "\(id) \(configuration) query \(query) key \(key)")
                    }
                }
            }
        }
    }

    @Test func plansAndOperatorsReportDensity() throws {
        let sparse = try BlockSparseAttention(
            .init(pattern: .image(height: 32, width: 32, window: 1)))
        let problem = AttentionProblem(queryLength: 1024, heads: 2, headDim: 64)
        // Blocks of 64 are two rows of the grid: each sees itself and its neighbours, 16 + 2 · 15 of 256.
        #expect(sparse.density(for: problem) == 46.0 / 256)
        #expect(sparse.plan(problem, context: try ComputeContext()).density == 46.0 / 256)
        var causal = problem
        causal.options.mask = .causal
        #expect(sparse.density(for: causal) == 31.0 / 256)
        let strided = try FactorizedAttention(.init(scheme: .strided(stride: 4)))
        let small = AttentionProblem(queryLength: 16, heads: 1, headDim: 8)
        // l + 1 recent keys, then every fourth one.
        let pairs = (0..<16).reduce(0) { $0 + min($1, 4) + 1 + max(0, $1 / 4 - 1) }
        #expect(strided.density(for: small) == Double(pairs) / 256)
    }

    @Test func refusalsNameTheRemedy() throws {
        let layout = try BlockSparseAttention(.init(layout: BlockCells([[[true, false], [true, true]]])))
        #expect(layout.unsupportedReasons(for: .init(queryLength: 100, heads: 2, headDim: 8)).isEmpty)
        let reasons = layout.unsupportedReasons(for: .init(queryLength: 200, heads: 2, headDim: 8))
        #expect(reasons.map(\.aspect) == [.configuration])
        #expect(reasons.first?.remedy == "give [4, 4] blocks of 64")
        let grid = try BlockSparseAttention(.init(pattern: .axial(height: 4, width: 5)))
        #expect(grid.unsupportedReasons(for: .init(queryLength: 21, heads: 2, headDim: 8)).count == 1)
        let axial = try FactorizedAttention(.init(scheme: .axial(shape: [4, 5])))
        #expect(axial.unsupportedReasons(for: .init(queryLength: 20, heads: 2, headDim: 8)).isEmpty)
        #expect(axial.unsupportedReasons(for: .init(queryLength: 21, heads: 2, headDim: 8)).count == 1)
        let perHead = try FactorizedAttention(.init(scheme: .strided(stride: 4), integration: .perHead))
        #expect(perHead.unsupportedReasons(for: .init(queryLength: 20, heads: 3, headDim: 8)).count == 1)
        for (id, configuration) in [
            ("block-sparse", ["blockSize": 8]), ("block-sparse", ["blockSize": 256]),
            ("block-sparse", ["patern": "axial"]), ("block-sparse", ["pattern": "axial", "layout": [[1]]]),
            ("block-sparse", ["layout": [[1, 2]]]), ("random", ["density": -0.1]), ("global", ["tokens": [-1]]),
            ("global", ["tokens": [1], "count": 1]), ("factorized", ["scheme": ["name": "strided", "stride": 0]]),
            ("factorized", ["step": 1]), ("factorized", ["scheme": ["name": "axial", "shape": [4]]]),
        ] as [(String, [String: ConfigurationValue])] {
            #expect(throws: AttentionError.self, "\(id) \(configuration)") {
                try OperatorRegistry.builtIn.make(id, configuration: configuration)
            }
        }
    }
}
