import AttentionCore
import AttentionOperators
import BenchHarness
import Foundation
import Kernels
import Testing

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// Patterns measured by changing keys, values and queries.
@Suite struct ProbeTests {
    private func probe(_ configured: ConfiguredOperator, _ problem: AttentionProblem) throws -> ProbeReport {
        try PatternProbe(configured, problem: problem, context: ComputeContext(threads: 2)).run()
    }

    private func problem(
        _ length: Int = 48, keys: Int? = nil, kvHeads: Int = 2, _ mask: AttentionMask = .causal
    ) -> AttentionProblem {
        AttentionProblem(
            queryLength: length, keyLength: keys, heads: 2, kvHeads: kvHeads, headDim: 16,
            options: AttentionOptions(mask: mask))
    }

    /// An operator that is not in the catalogue.
    private func unlisted<Operator: AttentionOperator>(_ made: Operator) -> ConfiguredOperator {
        ConfiguredOperator(
            entry: CatalogueEntry(
                id: "test", type: "\(Operator.self)", family: "exact", title: "", summary: "", paper: ""),
            operator: made)
    }

    @Test(arguments: OperatorRegistry.builtIn.entries.map(\.id))
    func everyOperatorAttendsAsItDeclares(id: String) throws {
        let configured = try OperatorRegistry.builtIn[id]
        let strictest = try #require(StrictestMask.problem(for: configured, problem(64)))
        let report = try probe(configured, strictest)
        #expect(report.fits, "\(id): \(report.findings.map(\.text))")
        #expect(report.effective.count > 0)
        if configured.capabilities.features.contains(.causal), !configured.capabilities.features.isEmpty {
            #expect(configured.id == "local" || strictest.options.mask == .causal, "\(id) claims to be causal")
        }
    }

    @Test func whatIsMeasuredIsTheMask() throws {
        let flash = try OperatorRegistry.builtIn["flash"]
        let masks: [AttentionMask] = [
            .full, .causal(.topLeft), .window(left: 5, right: 2), .not(.window(left: 3, right: 3)),
            .or([.prefix(length: 7), .causal]),
        ]
        for mask in masks {
            let report = try probe(flash, problem(40, keys: 56, kvHeads: 1, mask))
            #expect(report.fits && report.findings.isEmpty, "\(mask): \(report.findings.map(\.text))")
            #expect(report.effective == report.declared)
            let expected = mask.materialize(MaskGeometry(queryLength: 40, keyLength: 56)).count { $0 }
            #expect(report.effective.count == 2 * expected)
        }
    }

    @Test func paddedKeysAreNotRead() throws {
        var padded = problem(20)
        padded.keyLengths = [13]
        let report = try probe(OperatorRegistry.builtIn["flash"], padded)
        #expect(report.fits)
        #expect((0..<20).allSatisfy { query in (13..<20).allSatisfy { !report.effective[0, query, $0] } })
    }

    @Test func leaksOfTheFutureAreFound() throws {
        let report = try probe(unlisted(LeakingAttention(.init())), problem())
        #expect(!report.fits)
        #expect(report.errors.map(\.kind) == [.future])
        let finding = try #require(report.errors.first)
        #expect(finding.count == 2 * (48 - 3))
        #expect(finding.pairs.first.map { [$0.head, $0.query, $0.key] } == [0, 0, 3])
        #expect(
            finding.text.hasPrefix("90 pairs leak the future: a later key, declared hidden, changes the row: 0 <- 3"))
    }

    @Test func scoresThatAreOnlyMadeSmallAreFound() throws {
        let report = try probe(unlisted(PenalisingAttention(.init())), problem())
        #expect(report.errors.contains { $0.kind == .future })
    }

    @Test func windowsNarrowerThanDeclaredAreFound() throws {
        let report = try probe(unlisted(ShortSightedAttention(.init())), problem())
        #expect(!report.fits)
        #expect(report.errors.map(\.kind) == [.blind])
        #expect(report.errors.first?.pairs.first.map { [$0.head, $0.query, $0.key] } == [0, 9, 0])
    }

    @Test func queriesThatReachOtherRowsAreFound() throws {
        let report = try probe(unlisted(MixingAttention(.init())), problem())
        #expect(report.errors.map(\.kind) == [.query])
    }

    @Test func refusalsAreTheOperators() throws {
        #expect(throws: AttentionError.self) { try probe(OperatorRegistry.builtIn["local"], problem()) }
    }

    @Test func picturesShowWhatDiffers() throws {
        let report = try probe(unlisted(LeakingAttention(.init())), problem(12))
        let lines = ProbePicture.text(report).split(separator: "\n")
        #expect(lines.count == 12)
        #expect(lines[0] == "█··!········")
        #expect(lines[11] == "████████████")
        let coarse = ProbePicture.text(try probe(unlisted(LeakingAttention(.init())), problem(100)), width: 50)
        #expect(coarse.split(separator: "\n").count == 25)
        #expect(coarse.contains("!"))
        let drawing = ProbePicture.svg(report)
        let parser = XMLParser(data: Data(drawing.utf8))
        #expect(parser.parse())
        #expect(drawing.contains("does not attend as declared"))
    }

    @Test func commandTellsByItsStatus() throws {
        let good = try ZooProcess.run(["probe", "grouped-query", "--kv-heads", "1", "--length", "20", "--json"])
        #expect(good.status == 0, "\(good.error)")
        #expect(good.object["fits"] as? Bool == true)
        let grid = try #require(good.object["effective"] as? [String: Any])
        let planes = try #require(grid["planes"] as? [[String]])
        #expect(planes.count == 1 && planes[0][1] == "11" + String(repeating: "0", count: 18))
        let folder = try TemporaryFolder()
        let page = try ZooProcess.run([
            "probe", "local", "--config", "{\"window\": [3, 0]}", "--svg", folder.path("local.svg"), "--length", "24",
        ])
        #expect(page.status == 0, "\(page.error)")
        #expect(page.out.contains("\n·████"))
        #expect(page.out.contains("fits: it attends to what it declares"))
        #expect(try String(contentsOfFile: folder.path("local.svg"), encoding: .utf8).hasPrefix("<svg"))
        let refused = try ZooProcess.run(["probe", "local", "--causal", "--json"])
        #expect(refused.status == 69)
        #expect((refused.failure["reasons"] as? [[String: Any]])?.first?["aspect"] as? String == "window")
        #expect(try ZooProcess.run(["probe"]).status == 64)
        #expect(try ZooProcess.run(["probe", "flash", "--all"]).status == 64)
        #expect(try ZooProcess.run(["probe", "flahs"]).status == 64)
        let all = try ZooProcess.run(["probe", "--all", "--length", "32"])
        #expect(all.status == 0, "\(all.error)")
        #expect(all.out.contains("operators attend as they declare\n"))
    }
}
