import AttentionCore
import AttentionOperators
import AttentionTesting
import Foundation
import Kernels
import TensorCore
import Testing

/// What plans say about memory against every allocation of a process of its own.
@Suite struct PlannedMemoryTests {
    /// A line of the gauge.
    struct Line: Decodable {
        let `operator`: String
        let direction: String
        let `case`: String
        let threads: Int
        let planned: Int
        let measured: Int
        let isStrided: Bool

        /// Lists, closures and the rounding of allocations.
        static let slack = 128 << 10

        /// What is wrong; a call that copies operands which do not lie densely may take more than its plan.
        /// - Parameter alone: what the call holds on one thread, where tasks take memory as they run: on a busy machine a
        ///   second thread may never be under way at the same time, and then no more is seen than of one.
        func mistakes(spread: Double, alone: Int? = nil) -> [String] {
            let place = "\(self.operator) \(direction) on \(self.case), \(threads) threads"
            var mistakes: [String] = []
            if measured > planned, !isStrided {
                mistakes.append("\(place): holds \(measured) bytes, but plans \(planned)")
            }
            if Double(planned) > Double(max(measured, threads * (alone ?? 0))) * spread + Double(Self.slack) {
                mistakes.append("\(place): plans \(planned) bytes, but holds \(measured)")
            }
            return mistakes
        }
    }

    /// Operators whose tasks take memory as they run, instead of workspaces that the call takes for them.
    private static let takesMemoryInTasks = ["favor", "linformer", "nystrom", "orthoformer", "lambda"]

    private static func lines(_ text: String) throws -> [Line] {
        try text.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    }

    static let ids = OperatorRegistry.builtIn.entries.map(\.id)

    @Test(arguments: ids)
    func plansHold(id: String) throws {
        let outcome = try ZooProcess.run(["--operators", id], executable: ZooProcess.built("memorygauge"))
        #expect(outcome.status == 0, "\(outcome.error)")
        if outcome.out.contains(#""unavailable""#) { return }
        let lines = try Self.lines(outcome.out)
        for threads in [1, 2] {
            for direction in ["forward", "forward-limited", "backward", "backward-limited"] {
                let own = lines.filter { $0.threads == threads && $0.direction == direction }
                #expect(own.count >= 5, "\(id) \(direction) ran \(own.count) cases")
                let mistakes = own.flatMap { line in
                    let alone = lines.first {
                        $0.threads == 1 && $0.direction == direction && $0.case == line.case
                    }
                    return line.mistakes(
                        spread: 1.1, alone: Self.takesMemoryInTasks.contains(id) ? alone?.measured : nil)
                }
                #expect(mistakes.isEmpty, "\(mistakes.count) of \(own.count): \(mistakes.prefix(5))")
            }
        }
    }

    @Test func aLieIsFound() {
        func line(planned: Int) -> Line {
            Line(
                operator: "flash", direction: "forward", case: "lie", threads: 1, planned: planned,
                measured: 10 << 20, isStrided: false)
        }
        #expect(line(planned: 10 << 20).mistakes(spread: 1.1).isEmpty)
        #expect(line(planned: 10 << 20 - 1).mistakes(spread: 1.1).count == 1)
        #expect(line(planned: 12 << 20).mistakes(spread: 1.1).count == 1)
    }

    /// Output, log-sum-exp and at most 4 MiB: no object grows with the square of the length, nor beside the output with it.
    @Test func flashGrowsByItsResultsAndLittleMore() throws {
        let outcome = try ZooProcess.run(
            ["--operators", "flash", "--cases", "8192"], executable: ZooProcess.built("memorygauge"))
        if outcome.out.contains(#""unavailable""#) { return }
        let lines = try Self.lines(outcome.out).filter { $0.direction == "forward" }
        #expect(lines.count == 2)
        let results = 8192 * 8 * (64 + 1) * 4
        for line in lines {
            #expect(line.measured >= results)
            #expect(line.measured <= results + 4 << 20, "holds \(line.measured) bytes, of which \(results) are results")
        }
    }
}
