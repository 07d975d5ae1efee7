import AttentionCore
import AttentionTesting
import TensorCore
import Testing

/// The yardstick itself: against PyTorch, against numbers worked out by hand, and on operands that are not finite.
@Suite struct DenseReferenceTests {
    @Test(arguments: ReferencePrecision.allCases)
    func agreesWithPyTorch(precision: ReferencePrecision) throws {
        let fixtures = try SDPAFixtures()
        for (attentionCase, expectation) in fixtures.cases {
            let result = try DenseReference.forward(
                attentionCase.inputs(), options: try attentionCase.options(), precision: precision)
            let expected = try fixtures.expected(attentionCase, rows: expectation.rows, of: result)
            // The fixtures are stored in Float: half a unit in its last place is theirs.
            let magnitude = expected.output.doubles().reduce(0) { max($0, abs($1)) }
            let stored = 0x1p-24 * magnitude + 0x1p-149
            let limit =
                precision == .double ? stored + 1e-12 * magnitude : stored + max(2e-6, 3 * expectation.torchFloatError)
            #expect(expected.outputError <= limit, "\(attentionCase.name): output is off by \(expected.outputError)")
            let largest = expected.logSumExp.doubles().reduce(1) { $1.isFinite ? max($0, abs($1)) : $0 }
            let bound = largest * (precision == .double ? 0x1p-24 + 1e-12 : 1e-6)
            #expect(
                expected.logSumExpError <= bound,
                "\(attentionCase.name): logSumExp is off by \(expected.logSumExpError)")
        }
    }

    @Test func twoKeysByHand() throws {
        // Scores 0 and log 3: weights 1/4 and 3/4.
        let inputs = AttentionInputs(
            query: try Tensor([1.0 as Double], shape: [1, 1, 1, 1]),
            key: try Tensor([0, 1.098_612_288_668_109_8], shape: [1, 2, 1, 1]),
            value: try Tensor([4.0, 8.0, 0.0, 16.0] as [Double], shape: [1, 2, 1, 2]))
        let result = try DenseReference.forward(inputs, options: .init(scale: 1), precision: .double)
        #expect(try result.output.maxAbsoluteDifference(try Tensor([1.0, 14.0], shape: [1, 1, 1, 2])) < 1e-14)
        let logSumExp = try #require(result.logSumExp)
        #expect(try logSumExp.maxAbsoluteDifference(try Tensor([1.386_294_361_119_890_6], shape: [1, 1, 1])) < 1e-14)
        #expect(result.output.dtype == .float64 && logSumExp.dtype == .float64)
        // A sink of log 4 halves every weight.
        var withSink = inputs
        withSink.sinks = [1.386_294_4]
        let halved = try DenseReference.forward(withSink, options: .init(scale: 1), precision: .double)
        #expect(try halved.output.maxAbsoluteDifference(try Tensor([0.5, 7.0], shape: [1, 1, 1, 2])) < 1e-6)
    }

    @Test func sixteenBitOperandsComeOutInTheReferencesArithmetic() throws {
        var attentionCase = AttentionCase("bf16", queryLength: 5, headDim: 4)
        attentionCase.dtype = .bfloat16
        for precision in ReferencePrecision.allCases {
            let result = try DenseReference.forward(attentionCase.inputs(), options: .init(), precision: precision)
            #expect(result.output.dtype == (precision == .float ? .float32 : .float64))
            #expect(result.logSumExp?.dtype == result.output.dtype)
        }
    }

    @Test(arguments: ReferencePrecision.allCases)
    func hiddenNumbersNeverReachAResult(precision: ReferencePrecision) throws {
        let clean = AttentionCase("clean", queryLength: 6, keyLength: 9, headDim: 4).inputs()
        var poisoned = clean
        poisoned.keyLengths = [7]
        // Key 5 is hidden by a bias, keys 7 and 8 are padding, and row 2 sees nothing.
        var bias = [Float](repeating: 0, count: 6 * 9)
        for cell in bias.indices where cell % 9 == 5 || cell / 9 == 2 { bias[cell] = -.infinity }
        poisoned.bias = try Tensor(bias, shape: [6, 9])
        let expected = try DenseReference.forward(poisoned, options: .init(), precision: precision)
        for number in [Float.nan, .infinity, -.infinity] {
            let replaced = { (tensor: Tensor) throws in
                try Tensor(
                    tensor.floats().enumerated().map { [5, 7, 8].contains($0.offset / 4) ? number : $0.element },
                    shape: tensor.shape)
            }
            poisoned.value = try replaced(clean.value)
            var result = try DenseReference.forward(poisoned, options: .init(), precision: precision)
            #expect(try result.output.maxAbsoluteDifference(expected.output) < 1e-6)
            // Padded keys too; a key that only a bias hides must be a number, for NaN - infinity is NaN.
            poisoned.key = try Tensor(
                clean.key.floats().enumerated().map { $0.offset / 4 >= 7 ? number : $0.element }, shape: clean.key.shape
            )
            result = try DenseReference.forward(poisoned, options: .init(), precision: precision)
            #expect(try result.output.maxAbsoluteDifference(expected.output) < 1e-6)
        }
        #expect(try expected.output.sliced(1, 2..<3).doubles().allSatisfy { $0 == 0 })
        #expect(try #require(expected.logSumExp).sliced(2, 2..<3).doubles() == [-.infinity])
    }

    @Test func longSequencesAreCutIntoBlocksOfRows() throws {
        // 2 500 x 2 500 scores are two blocks; the last rows alone are one.
        let inputs = AttentionCase("long", queryLength: 2500, headDim: 4).inputs()
        let whole = try DenseReference.forward(inputs, options: .init(mask: .causal), precision: .double)
        var last = inputs
        last.query = try inputs.query.sliced(1, 1600..<2500)
        let part = try DenseReference.forward(last, options: .init(mask: .causal), precision: .double)
        #expect(try part.output.maxAbsoluteDifference(try whole.output.sliced(1, 1600..<2500)) < 1e-13)
        let logSumExp = try #require(whole.logSumExp).sliced(2, 1600..<2500)
        #expect(try #require(part.logSumExp).maxAbsoluteDifference(logSumExp) < 1e-12)
    }

    @Test func dropoutKeepsItsShareAndScalesItUp() throws {
        // With identity values the output is the matrix of weights itself.
        let length = 64
        var inputs = AttentionCase("dropout", queryLength: length, headDim: 4).inputs()
        let identity = (0..<length * length).map { Float($0 / length == $0 % length ? 1 : 0) }
        inputs.value = try Tensor(identity, shape: [1, length, 1, length])
        let plain = try DenseReference.forward(inputs, options: .init(), precision: .double)
        let dropped = try DenseReference.forward(
            inputs, options: .init(dropout: 0.25, seed: 7), precision: .double)
        var kept = 0
        for (weight, result) in zip(plain.output.doubles(), dropped.output.doubles()) where result != 0 {
            kept += 1
            #expect(abs(result - weight / 0.75) < 1e-12)
        }
        #expect(abs(Double(kept) / Double(length * length) - 0.75) < 0.03)
        #expect(try #require(dropped.logSumExp).doubles() == #require(plain.logSumExp).doubles())
        let again = try DenseReference.forward(inputs, options: .init(dropout: 0.25, seed: 8), precision: .double)
        #expect(again.output.doubles() != dropped.output.doubles())
    }
}
