import AttentionCore
import AttentionTesting
import Foundation
import TensorCore
import Testing

/// `zoo run` on keys and values in pages.
@Suite struct PagedRunTests {
    private static func inputs() -> AttentionInputs {
        var inputs = AttentionInputs(
            query: .random(uniform: [3, 9, 4, 16], seed: 1), key: .random(uniform: [3, 40, 2, 16], seed: 2),
            value: .random(uniform: [3, 40, 2, 16], seed: 3))
        inputs.queryLengths = [9, 1, 4]
        inputs.keyLengths = [40, 17, 33]
        return inputs
    }

    /// A file with block tables, and what an operator without pages makes of the same numbers.
    private func run(_ name: String, isRagged: Bool, leavesOut: [String] = []) throws -> (ZooProcess.Outcome, String) {
        let paged = try Self.inputs().paged(pageSize: 16, seed: 5, isRagged: isRagged)
        let pages = try #require(paged.pages)
        let width = pages.blockTables.map(\.count).max() ?? 0
        let table = pages.blockTables.flatMap { $0 + [Int](repeating: -1, count: width - $0.count) }
        var extra: [(name: String, tensor: Tensor)] = [
            ("block_table", try Tensor(table.map(Int32.init), shape: [3, width])),
            ("key_lengths", try Tensor(pages.keyLengths.map(Int32.init), shape: [3])),
        ]
        if let starts = pages.queryStarts {
            extra.append(("query_starts", try Tensor(starts.map(Int64.init), shape: [starts.count])))
        }
        let folder = try TemporaryFolder()
        try OperandFile.write(
            paged, to: folder.path("in.safetensors"), adding: extra.filter { !leavesOut.contains($0.name) })
        let outcome = try ZooProcess.run([
            "run", name, "--input", folder.path("in.safetensors"), "--output", folder.path("out.safetensors"),
            "--config",
            "{\"causal\": true}", "--verify", "--json",
        ])
        return (outcome, folder.path("out.safetensors"))
    }

    @Test(arguments: [false, true], ["paged", "auto"])
    func pagesAreReadByTheirTables(isRagged: Bool, name: String) throws {
        let (outcome, _) = try run(name, isRagged: isRagged)
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(outcome.object["operator"] as? String == "paged")
        #expect(outcome.object["outputShape"] as? [Int] == (isRagged ? [1, 14, 4, 16] : [3, 9, 4, 16]))
        let verify = try #require(outcome.object["verify"] as? [String: Any])
        #expect((verify["maxError"] as? Double ?? 1) <= (verify["tolerance"] as? Double ?? 0))
    }

    @Test func otherOperatorsSayWhatToDo() throws {
        let (outcome, _) = try run("flash", isRagged: true)
        #expect(outcome.status == 69)
        #expect("\(outcome.failure)".contains("gather the keys and values of each sequence, or use paged"))
    }

    @Test func incompleteTablesAreRefused() throws {
        let (outcome, _) = try run("paged", isRagged: false, leavesOut: ["key_lengths"])
        #expect(outcome.status == 65)
        #expect(outcome.error.contains("no 'key_lengths'"))
        let (ragged, _) = try run("paged", isRagged: true, leavesOut: ["block_table"])
        #expect(ragged.status == 65)
        #expect(ragged.error.contains("'query_starts' without a 'block_table'"))
    }
}
