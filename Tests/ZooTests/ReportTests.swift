import AttentionCore
import AttentionOperators
import BenchHarness
import Foundation
import Kernels
import Testing

#if canImport(FoundationXML)
    import FoundationXML
#endif

@Suite struct ReportTests {
    /// A small sweep, run once.
    static let sweep: Result<(machine: MachineFacts, lines: [ResultLine]), any Error> = Result {
        let context = try ComputeContext(threads: 2)
        let operators = try ["full", "flash", "local"].map { try OperatorRegistry.builtIn[$0] }
        let mask = AttentionOptions(mask: .causal)
        let cases =
            [32, 64].map { length in
                BenchCase(
                    name: "causal L\(length) D8", preset: "test",
                    problem: AttentionProblem(queryLength: length, heads: 2, headDim: 8, options: mask))
            } + [
                BenchCase(
                    name: "decode <L48> & \"D8\"", preset: "test",
                    problem: AttentionProblem(queryLength: 1, keyLength: 48, heads: 2, headDim: 8))
            ]
        let sweep = BenchSweep(operators: operators, cases: cases, context: context, seconds: 0.3)
        return (MachineFacts(context), try sweep.run())
    }

    @Test func everyCombinationHasALine() throws {
        let lines = try Self.sweep.get().lines
        #expect(lines.count == 9)
        for line in lines {
            let isAble = line.operator != "local"
            #expect(line.reasons.isEmpty == isAble)
            #expect(line.checked == isAble)
            #expect((line.timing != nil) == isAble)
            if isAble {
                #expect(line.check?.passed == true)
                #expect((line.fractionOfPeak ?? 0) > 0)
                #expect((line.peakBytes ?? 0) > 0)
                #expect((line.gigabytesPerSecond != nil) == line.case.hasPrefix("decode"))
            }
        }
    }

    @Test func jsonLinesComeBackAsTheyWere() throws {
        let (machine, lines) = try Self.sweep.get()
        let text = JSONLines.text(machine: machine, lines: lines)
        #expect(text.split(separator: "\n").count == lines.count + 1)
        let back = try JSONLines.read(text)
        #expect(back.machine == machine)
        #expect(back.lines == lines)
        let first = try #require(text.split(separator: "\n").dropFirst().first)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(first.utf8)) as? [String: Any])
        for key in [
            "operator", "case", "medianSeconds", "spread", "gflops", "fractionOfPeak", "peakBytes", "maxError",
            "checked", "passed", "isa", "threads", "reasons",
        ] {
            #expect(object[key] != nil, "\(key) is missing")
        }
    }

    @Test func infinitiesSurvive() throws {
        var lines = try Self.sweep.get().lines
        lines[0].check?.maxError = .infinity
        let back = try JSONLines.read(JSONLines.text(machine: try Self.sweep.get().machine, lines: lines))
        #expect(back.lines == lines)
    }

    @Test func tablesSayWhyNot() throws {
        let table = SweepTable.render(try Self.sweep.get().lines)
        #expect(table.contains("cannot run it: window: left is unlimited; set window to [left, right]"))
        #expect(table.contains("1.00x"))
        #expect(!table.contains("WRONG"))
        var lines = try Self.sweep.get().lines
        lines[0].check?.maxError = 1
        #expect(SweepTable.render(lines).contains("WRONG"))
    }

    @Test func pagesAreWellFormedAndNeedNobody() throws {
        let (machine, lines) = try Self.sweep.get()
        let page = HTMLReport.render(machine: machine, lines: lines)
        let counter = ElementCounter()
        let parser = XMLParser(data: Data(page.utf8))
        parser.delegate = counter
        // On Linux the parser says true whatever it met: the errors themselves count.
        #expect(parser.parse() && counter.errors.isEmpty, "\(counter.errors)")
        // Two lines of two points in two plots, six marks of errors, three of the legend.
        #expect(counter.counts["polyline"] == 4)
        #expect(counter.marks == 4 * 2 + 6 + 3)
        #expect(counter.counts["tr"] == lines.count + 1)
        #expect(counter.counts["script"] == nil)
        for forbidden in ["http:", "https:", "src=", "@import", "url("] { #expect(!page.contains(forbidden)) }
        #expect(page.contains("prefers-color-scheme: dark"))
        #expect(page.contains("All 6 results agree with the reference."))
    }

    private final class ElementCounter: NSObject, XMLParserDelegate {
        var counts: [String: Int] = [:]
        var marks = 0
        var errors: [String] = []

        func parser(_ parser: XMLParser, parseErrorOccurred error: any Error) {
            errors.append("line \(parser.lineNumber): \(error)")
        }

        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String] = [:]
        ) {
            counts[name, default: 0] += 1
            if attributes["class"]?.hasPrefix("mark ") == true { marks += 1 }
        }
    }
}
