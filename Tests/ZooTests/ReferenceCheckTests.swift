import AttentionCore
import BenchHarness
import TensorCore
import Testing

@Suite struct ReferenceCheckTests {
    private func inputs(_ problem: AttentionProblem) throws -> AttentionInputs {
        try BenchCase(name: "case", preset: "test", problem: problem, seed: 3).inputs()
    }

    private func verdict(
        _ problem: AttentionProblem, _ effort: ReferenceCheck.Effort, spoil: (inout [Float]) -> Void = { _ in }
    ) throws -> ReferenceCheck.Verdict {
        let inputs = try inputs(problem)
        let right = try DenseReference.forward(inputs, options: problem.options, precision: .float)
        var numbers = right.output.floats()
        spoil(&numbers)
        let output = try Tensor(numbers, shape: right.output.shape)
        let check = try ReferenceCheck(inputs, problem: problem, effort: effort)
        return try check.verdict(on: AttentionOutput(output: output, logSumExp: right.logSumExp))
    }

    @Test func everythingFindsOneWrongNumber() throws {
        let problem = AttentionProblem(queryLength: 20, heads: 2, headDim: 8)
        let right = try verdict(problem, .everything)
        #expect(right.passed)
        #expect(right.coverage == "everything")
        #expect(right.maxError == right.floatError)
        let wrong = try verdict(problem, .everything) { $0[37] += 1e-4 }
        #expect(!wrong.passed)
        #expect(!(try verdict(problem, .everything) { $0[11] = .nan }).passed)
    }

    /// Rows and keys are cut at the right places: the references of the parts are those of the whole.
    @Test(arguments: [
        AttentionMask.full, .causal, .window(left: 100, right: 0),
        .and([.causal, .window(left: 300, right: 50)]), .window(left: 40, right: 40), .causal(.topLeft),
    ])
    func sampledPartsAreThoseOfTheWhole(mask: AttentionMask) throws {
        let problem = AttentionProblem(
            queryLength: 4200, keyLength: 4300, heads: 1, headDim: 4, options: AttentionOptions(mask: mask))
        let coverage = CheckCoverage(sampling: problem)
        let sampled = try verdict(problem, .sampled)
        #expect(sampled.passed, "\(mask): \(sampled)")
        let cutsRows = mask != .window(left: 40, right: 40) && mask != .causal(.topLeft)
        #expect((coverage.rows.count == 3) == cutsRows)
        #expect(sampled.coverage == (cutsRows ? "1 of 1 head, 576 of 4200 rows" : "everything"))
    }

    @Test func sampledHeadsIncludeTheLast() throws {
        let problem = AttentionProblem(queryLength: 1200, heads: 12, kvHeads: 3, headDim: 4)
        let coverage = CheckCoverage(sampling: problem)
        #expect(coverage.heads.count > 1 && coverage.heads.count < 12)
        #expect(coverage.heads.first == 0 && coverage.heads.last == 11)
        #expect(try verdict(problem, .sampled).passed)
        let last = 1199 * 12 * 4 + 11 * 4
        #expect(!(try verdict(problem, .sampled) { $0[last] += 1e-3 }).passed)
    }

    @Test func storageOfSixteenBitsIsAllowedItsRounding() throws {
        let problem = AttentionProblem(queryLength: 20, heads: 2, headDim: 8, dtype: .bfloat16)
        let inputs = try inputs(problem)
        let truth = try DenseReference.forward(inputs, options: problem.options, precision: .double)
        let check = try ReferenceCheck(inputs, problem: problem, effort: .everything)
        let rounded = AttentionOutput(output: truth.output.converted(to: .bfloat16), logSumExp: nil)
        let verdict = try check.verdict(on: rounded)
        #expect(verdict.passed)
        #expect(verdict.maxError > 1e-4)
        #expect(verdict.logSumExpError == nil)
    }
}
