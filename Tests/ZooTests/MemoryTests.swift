import AttentionCore
import AttentionOperators
import BenchHarness
import Foundation
import Kernels
import Testing

@Suite struct MemoryTests {
    /// A process of its own, so that other tests' memory does not count.
    @Test func flashGrowsByItsOutputAndLittleMore() throws {
        let outcome = try ZooProcess.run([
            "bench", "--preset", "lengths", "--lengths", "8192", "--head-dims", "64", "--operators", "flash",
            "--seconds",
            "1", "--json", "-",
        ])
        #expect(outcome.status == 0, "\(outcome.error)")
        let lines = try JSONLines.read(outcome.out)
        let growth = try #require(lines.lines.first?.residentGrowthBytes)
        let output = 8192 * 8 * 64 * 4
        #expect(growth <= output + 8 << 20, "grew by \(growth) bytes, of which \(output) are the output")
        #expect(growth >= output / 2, "a growth of \(growth) bytes cannot hold the output")
    }

    /// Three gradients and one buffer of sums; a matrix of scores would be 2 GiB.
    @Test func gradientsGrowByTheirResultsAndAsMuchAgain() throws {
        let outcome = try ZooProcess.run([
            "bench", "--preset", "lengths", "--lengths", "8192", "--head-dims", "64", "--operators", "flash",
            "--backward", "--seconds", "1", "--json", "-",
        ])
        #expect(outcome.status == 0, "\(outcome.error)")
        let growth = try #require(try JSONLines.read(outcome.out).lines.first?.residentGrowthBytes)
        let operand = 8192 * 8 * 64 * 4
        #expect(growth <= 5 * operand, "grew by \(growth) bytes, of which \(3 * operand) are the gradients")
        #expect(growth >= operand, "a growth of \(growth) bytes cannot hold the gradients")
    }

    /// A scores matrix would make the plan grow sixteen-fold for each four-fold length.
    @Test(arguments: [
        ("flash", 1.1), ("grouped-query", 1.1), ("local", 1.1), ("memory-efficient", 4.2), ("full", 16.5),
    ])
    func workspacesGrowAsDeclared(id: String, largest: Double) throws {
        let context = try ComputeContext(threads: 2)
        let configured = try OperatorRegistry.builtIn[id]
        let bytes = [4096, 65536].map { length in
            let problem = AttentionProblem(
                queryLength: length, heads: 8, headDim: 64, options: .init(mask: .window(left: 100, right: 100)))
            return Double(configured.plan(problem, context: context).workspaceBytes)
        }
        #expect(bytes[1] / bytes[0] <= largest)
    }
}
