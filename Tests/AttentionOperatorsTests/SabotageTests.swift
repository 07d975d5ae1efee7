import AttentionCore
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// The tests of the tests: each planted mistake is noticed by the checks that are there for it, and nothing is noticed
/// where there is no mistake.
@Suite struct SabotageTests {
    private static func configured(_ fault: Fault) -> ConfiguredOperator {
        ConfiguredOperator(
            entry: CatalogueEntry(
                id: "sabotaged", type: "SabotagedAttention", family: "test", title: "Sabotaged", summary: "A mistake.",
                paper: "none"),
            operator: SabotagedAttention(SabotagedAttention.Configuration(fault: fault)))
    }

    /// Standard cases that plain loops do in good time; F64 stands for what is refused.
    private static let cases = ConformanceCases.standard.filter {
        $0.batch * $0.heads * $0.queryLength * $0.keyLength * $0.headDim < 600_000
    }

    @Test func nothingIsNoticedWithoutAMistake() throws {
        let configured = Self.configured(.none)
        let context = try ComputeContext(threads: 2)
        let report = Self.standardCases(Self.cases, configured, context)
        let laws = PropertyChecks(configured, context: context).run()
        #expect(report.isPassing, "\(report)")
        #expect(report.refused > 0)
        #expect(laws.failures == [])
        #expect(laws.inapplicable == [])
    }

    @Test(arguments: Fault.allCases.filter { $0 != .none })
    func mistakesAreNoticed(fault: Fault) throws {
        let configured = Self.configured(fault)
        let context = try ComputeContext(threads: 2)
        #expect(!fault.watchers.isEmpty)
        for watcher in fault.watchers {
            let hasNoticed: Bool
            if watcher == Fault.standardCases {
                // A few at a time: the first that fail are enough.
                hasNoticed = stride(from: 0, to: Self.cases.count, by: 20).contains { start in
                    !Self.standardCases(Self.cases[start...].prefix(20), configured, context).isPassing
                }
            } else {
                let laws = PropertyChecks.laws.filter { $0.name.hasPrefix(watcher) }
                hasNoticed = !PropertyChecks(configured, context: context).run(laws).failures.isEmpty
            }
            #expect(hasNoticed, "\(watcher) did not notice \(fault)")
        }
    }

    private static func standardCases(
        _ cases: some Collection<AttentionCase>, _ configured: ConfiguredOperator, _ context: ComputeContext
    ) -> ConformanceReport {
        ConformanceSuite.run(
            configured, contexts: [context], cases: Array(cases),
            minimumAccepted: cases.filter { $0.dtype != .float64 }.count)
    }

    @Test func everyLawCanFail() {
        let watchers = Fault.allCases.flatMap(\.watchers)
        let idle = PropertyChecks.laws.map(\.name).filter { name in !watchers.contains { name.hasPrefix($0) } }
        #expect(idle == [])
    }

    @Test func acceptingTooLittleIsAFailure() throws {
        let report = ConformanceSuite.run(
            Self.configured(.none), contexts: [try ComputeContext()], cases: Array(Self.cases.prefix(3)),
            minimumAccepted: 4)
        #expect(report.failures == ["accepts 3 cases; expected at least 4"])
    }
}
