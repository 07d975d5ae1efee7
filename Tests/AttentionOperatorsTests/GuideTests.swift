import AttentionCore
import AttentionOperators
import AttentionTesting
import Foundation
import Kernels
import Testing

/// `docs/adding-an-operator.md` shows a file, a registry entry and a test: all three are real.
@Suite struct GuideTests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../..").standardizedFileURL
    static let guide =
        (try? String(contentsOf: root.appendingPathComponent("docs/adding-an-operator.md"), encoding: .utf8)) ?? ""

    /// The fenced blocks of a language.
    static func blocks(_ language: String) -> [String] {
        guide.components(separatedBy: "```\(language)\n").dropFirst()
            .compactMap { $0.components(separatedBy: "```").first }
    }

    @Test func theGuideShowsTheFileThatIsCompiledHere() throws {
        let file = try String(
            contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("RowwiseAttention.swift"), encoding: .utf8)
        #expect(Self.blocks("swift").contains(file))
    }

    @Test(arguments: OperatorRegistry.builtIn.entries.map(\.id))
    func everyOperatorHasAGuide(id: String) throws {
        let guide = try OperatorRegistry.builtIn[id].guide
        #expect(guide.maths.count > 20 && guide.choose.count > 40 && guide.limits.count > 40)
    }

    @Test func theExampleConforms() throws {
        let text = try #require(Self.blocks("json").first)
        let entry = try JSONDecoder().decode(CatalogueEntry.self, from: Data(text.utf8))
        #expect(entry.type == "\(RowwiseAttention.self)")
        var registry = OperatorRegistry.builtIn
        try registry.register(RowwiseAttention.self, as: entry)
        let configured = try registry.make("rowwise", configuration: ["rowsPerTask": 4])
        let context = try ComputeContext()
        let report = ConformanceSuite.run(configured, contexts: [context], minimumAccepted: 150)
        #expect(report.isPassing, "\(report)")
        let laws = PropertyChecks(configured, context: context).run()
        #expect(laws.failures.isEmpty, "\(laws.failures)")
        #expect(laws.inapplicable.count <= 6, "\(laws.inapplicable)")
    }

    @Test func theExampleCannotTakeATakenName() throws {
        var registry = OperatorRegistry.builtIn
        let entry = CatalogueEntry(
            id: "flash", type: "RowwiseAttention", family: "exact", title: "Rowwise", summary: "One row at a time.",
            paper: "none")
        #expect(
            throws: AttentionError.duplicateOperator(
                name: "flash", existing: "FlashAttention", added: "RowwiseAttention")
        ) { try registry.register(RowwiseAttention.self, as: entry) }
        #expect(throws: AttentionError.invalidOption(name: "rowsPerTask", expected: "1 or more", actual: "0")) {
            try RowwiseAttention(.init(rowsPerTask: 0))
        }
    }
}
