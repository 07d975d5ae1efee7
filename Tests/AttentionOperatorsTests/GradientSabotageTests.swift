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

    @Test(arguments: GradientFault.allCases)
    func mistakesAreNoticed(fault: GradientFault) throws {
        let configured = Self.configured(fault)
        let context = try ComputeContext(threads: 2)
        let cases = GradientSuite.compare(
            configured, contexts: [context], cases: Self.cases)
        let laws = GradientLaws(configured, context: context).run()
        let needsDifferences = fault == .none || fault.watchers.contains(GradientFault.differences)
        let differences = needsDifferences ? GradientDifferences.run(configured) : GradientReport()
        guard fault != .none else {
            #expect(cases.isPassing, "\(cases)")
            #expect(cases.refused == 1)
            #expect(laws.isPassing, "\(laws)")
            #expect(laws.refused == 0)
            #expect(differences.isPassing, "\(differences)")
            #expect(differences.accepted == GradientCases.tiny.count)
            return
        }
        for watcher in fault.watchers {
            let hasNoticed =
                switch watcher {
                case GradientFault.standardCases: !cases.isPassing
                case GradientFault.differences: !differences.isPassing
                default: laws.failures.contains { $0.hasPrefix(watcher) }
                }
            #expect(hasNoticed, "\(watcher) did not notice \(fault)")
        }
        #expect(!fault.watchers.isEmpty)
    }

    @Test func everyLawCanFail() {
        let watchers = GradientFault.allCases.flatMap(\.watchers)
        let idle = GradientLaws.laws.map(\.name).filter { name in !watchers.contains { name.hasPrefix($0) } }
        #expect(idle == [])
    }
}
