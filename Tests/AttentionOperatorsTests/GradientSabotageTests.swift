import AttentionCore
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// The tests of the gradients' tests: each planted mistake is noticed by the checks that are there for it, and nothing is
/// noticed where there is no mistake.
@Suite struct GradientSabotageTests {
    private static func configured(_ fault: GradientFault) -> ConfiguredOperator {
        ConfiguredOperator(
            entry: CatalogueEntry(
                id: "sabotaged", type: "SabotagedGradients", family: "test", title: "Sabotaged", summary: "A mistake.",
                paper: "none"),
            operator: SabotagedGradients(SabotagedGradients.Configuration(fault: fault)))
    }

    /// Standard cases that plain loops do in good time.
    private static let cases = GradientCases.standard.filter {
        let shape = $0.attention
        return shape.batch * shape.heads * shape.queryLength * shape.keyLength * shape.headDim < 200_000
            || $0.options != nil
    }

    @Test func nothingIsNoticedWithoutAMistake() throws {
        let configured = Self.configured(.none)
        let context = try ComputeContext(threads: 2)
        let cases = GradientSuite.compare(configured, contexts: [context], cases: Self.cases)
        let laws = GradientLaws(configured, context: context).run()
        let differences = GradientDifferences.run(configured)
        #expect(cases.isPassing, "\(cases)")
        #expect(cases.refused == 1)
        #expect(laws.isPassing, "\(laws)")
        #expect(laws.refused == 0)
        #expect(differences.isPassing, "\(differences)")
        #expect(differences.accepted == GradientCases.tiny.count)
    }

    @Test(arguments: GradientFault.allCases.filter { $0 != .none })
    func mistakesAreNoticed(fault: GradientFault) throws {
        let configured = Self.configured(fault)
        let context = try ComputeContext(threads: 2)
        #expect(!fault.watchers.isEmpty)
        for watcher in fault.watchers {
            let hasNoticed =
                switch watcher {
                case GradientFault.standardCases:
                    // A few at a time: the first that fail are enough.
                    stride(from: 0, to: Self.cases.count, by: 10).contains { start in
                        !GradientSuite.compare(
                            configured, contexts: [context], cases: Array(Self.cases[start...].prefix(10))
                        ).isPassing
                    }
                case GradientFault.differences: !GradientDifferences.run(configured).isPassing
                default:
                    !GradientLaws(configured, context: context)
                        .run(GradientLaws.laws.filter { $0.name.hasPrefix(watcher) }).isPassing
                }
            #expect(hasNoticed, "\(watcher) did not notice \(fault)")
        }
    }

    @Test func everyLawCanFail() {
        let watchers = GradientFault.allCases.flatMap(\.watchers)
        let idle = GradientLaws.laws.map(\.name).filter { name in !watchers.contains { name.hasPrefix($0) } }
        #expect(idle == [])
    }
}
