import AttentionCore
import AttentionOperators
import BenchHarness
import Kernels
import TensorCore
import Testing

/// Sees nine keys, and says so.
struct DeclaredShortSight: FaultyOperator {
    init(_ configuration: NoConfiguration) {}

    func pattern(for problem: AttentionProblem) -> AttentionMask { .window(left: 8, right: 0) }

    func row(_ query: Int, head: Int, operands: Operands) -> [Double] {
        operands.attend(
            operands.query(query, head).map(Double.init), head: head, keys: Array(max(0, query - 8)...query))
    }
}

/// What a sweep compares with what.
@Suite struct SweepTests {
    private func entry(_ id: String) -> CatalogueEntry {
        CatalogueEntry(id: id, type: id, family: "test", title: id, summary: id, paper: "none")
    }

    private func lines(
        _ operators: [ConfiguredOperator], length: Int = 40, direction: BenchSweep.Direction = .forward
    ) throws -> [ResultLine] {
        let problem = AttentionProblem(
            queryLength: length, heads: 2, headDim: 8, options: AttentionOptions(mask: .causal))
        let sweep = BenchSweep(
            operators: operators, cases: [BenchCase(name: "case", preset: "test", problem: problem)],
            context: try ComputeContext(threads: 1), seconds: 0.1, direction: direction)
        return try sweep.run()
    }

    /// An exact operator with a pattern of its own is right within its pattern; the same without the word is wrong.
    @Test func operatorsAreComparedWithTheirOwnReference() throws {
        let found = try lines([
            ConfiguredOperator(entry: entry("declared"), operator: DeclaredShortSight(NoConfiguration())),
            ConfiguredOperator(entry: entry("secret"), operator: ShortSightedAttention(NoConfiguration())),
            try OperatorRegistry.builtIn["flash"],
        ])
        #expect(found.map { $0.check?.passed } == [true, false, true])
    }

    @Test func gradientsAreTimedAndChecked() throws {
        let silent = ConfiguredOperator(entry: entry("silent"), operator: ShortSightedAttention(NoConfiguration()))
        let found = try lines([try OperatorRegistry.builtIn["flash"], silent], length: 300, direction: .backward)
        #expect(found.map(\.case) == ["case backward", "case backward"])
        #expect(found[0].check?.passed == true)
        #expect(found[0].check?.coverage.hasPrefix("every gradient; worst by ") == true)
        #expect((found[0].timing?.median ?? 0) > 0 && (found[0].gflops ?? 0) > 0)
        #expect(found[1].reasons.map(\.aspect) == [.gradients])
        let forward = try lines([try OperatorRegistry.builtIn["flash"]], length: 300)
        let ratio =
            ((found[0].gflops ?? 0) * (found[0].timing?.median ?? 0))
            / ((forward[0].gflops ?? 1) * (forward[0].timing?.median ?? 1))
        #expect(abs(ratio - 2.5) < 1e-9)
    }

    /// References of one's own cost a second at most, so long cases are compared at a length that they allow.
    @Test func longCasesAreComparedShorter() throws {
        let found = try lines([try OperatorRegistry.builtIn["flash"]], length: 2048, direction: .backward)
        #expect(found[0].check?.passed == true)
        #expect(found[0].check?.coverage.contains(", at 1024 keys") == true, "\(found[0].check?.coverage ?? "")")
    }
}
