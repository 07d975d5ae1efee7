import Foundation
import Kernels
import Testing

/// Choices by measurement: each candidate in turn, then the quickest, kept in a file that may be anything.
@Suite struct TuningTests {
    private static func path() -> String {
        FileManager.default.temporaryDirectory.appendingPathComponent("zoo-\(UUID().uuidString)/tuning.json").path
    }

    /// Plays calls whose time depends on the candidate; returns which were tried.
    @discardableResult
    private static func play(_ tuning: Tuning, calls: Int, seconds: [Int: Double], rule: Int = 112) -> [Int] {
        (0..<calls).map { _ in
            let candidate = tuning.candidate(for: "kind", rule: rule, among: seconds.keys.sorted())
            tuning.note(seconds[candidate] ?? 0, of: candidate, for: "kind")
            return candidate
        }
    }

    @Test func everyCandidateIsTriedAndTheQuickestKept() throws {
        let path = Self.path()
        let tuning = Tuning(path: path)
        let tried = Self.play(tuning, calls: 9, seconds: [56: 3, 112: 2, 224: 1])
        for candidate in [56, 112, 224] { #expect(tried.filter { $0 == candidate }.count == Tuning.samples) }
        #expect(Self.play(tuning, calls: 3, seconds: [56: 3, 112: 2, 224: 1]) == [224, 224, 224])
        let again = Tuning(path: path)
        #expect(again.record == tuning.record)
        #expect(Self.play(again, calls: 1, seconds: [56: 1, 112: 2, 224: 3]) == [224])
        #expect(again.trouble == nil)
    }

    @Test func aLittleQuickerIsNoise() {
        let tuning = Tuning(path: nil)
        Self.play(tuning, calls: 6, seconds: [112: 1, 224: 0.99])
        #expect(tuning.record.decisions["kind"]?.chosen == 112)
    }

    @Test func withoutExploringTheRuleStands() {
        let tuning = Tuning(path: nil, explores: false)
        #expect(Self.play(tuning, calls: 8, seconds: [56: 1, 112: 2]) == [Int](repeating: 112, count: 8))
        #expect(tuning.record.decisions.isEmpty)
    }

    @Test(arguments: ["", "{", "{\"machine\": 3}", "{\"machine\": \"another\", \"decisions\": {}}"])
    func aFileThatIsNoRecordIsReplaced(text: String) throws {
        let path = Self.path()
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        let tuning = Tuning(path: path)
        #expect(tuning.trouble?.contains(path) == true)
        #expect(tuning.record.decisions.isEmpty)
        Self.play(tuning, calls: 6, seconds: [56: 1, 112: 2])
        #expect(tuning.trouble == nil)
        #expect(Tuning(path: path).record.decisions["kind"]?.chosen == 56)
    }

    @Test func aFileThatCannotBeWrittenLeavesTheDecision() {
        let tuning = Tuning(path: "/proc/none/tuning.json")
        Self.play(tuning, calls: 6, seconds: [56: 1, 112: 2])
        #expect(tuning.record.decisions["kind"]?.chosen == 56)
        #expect(tuning.trouble?.contains("cannot be written") == true)
    }

    @Test func aChoiceThatIsNoCandidateAnyMoreIsMadeAgain() {
        let tuning = Tuning(path: nil)
        Self.play(tuning, calls: 6, seconds: [56: 1, 112: 2])
        #expect(Set(Self.play(tuning, calls: 6, seconds: [112: 2, 448: 3])) == [112, 448])
    }
}
