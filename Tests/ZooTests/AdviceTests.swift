import AttentionCore
import AttentionOperators
import BenchHarness
import Foundation
import Kernels
import TensorCore
import Testing

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// What `zoo advise` concludes, from numbers and from real operators.
@Suite struct AdviceTests {
    private func result(_ name: String, _ seconds: Double?, _ error: Double?) -> Advice.Result {
        var result = Advice.Result(
            operator: name, setting: "", specification: "{\"name\": \"\(name)\"}", family: "exact", isExact: true)
        (result.seconds, result.error, result.peakBytes) = (seconds, error, 1000)
        return result
    }

    private func advice(_ layers: [[Advice.Result]]) throws -> Advice {
        Advice(
            model: "Models/some-model", machine: MachineFacts(try ComputeContext(threads: 1)), length: 100,
            layers: layers.enumerated().map { index, results in
                Advice.Layer(
                    place: "layers[\(index)]", number: index + 1, length: 100, problem: "a problem",
                    results: Advice.ranked(results))
            })
    }

    @Test func theFrontIsWhatNobodyBeats() {
        let ranked = Advice.ranked([
            result("slow", 4, 1e-7), result("refuses", nil, nil), result("quick", 1, 0.3), result("exact", 3, 2e-7),
            result("beaten", 2, 0.4), result("middle", 2.5, 0.1), result("broken", 0.5, .nan),
        ])
        #expect(
            ranked.map(\.operator) == ["broken", "quick", "beaten", "middle", "exact", "slow", "refuses"])
        #expect(ranked.filter(\.isOnFront).map(\.operator) == ["quick", "middle", "exact"])
    }

    @Test func choicesFollowTheLimits() throws {
        let first = [
            result("full", 4, 1e-7), result("flash", 2, 1e-7), result("near", 1, 0.04), result("far", 0.5, 0.9),
        ]
        let second = [
            result("full", 4, 1e-7), result("flash", 2, 1e-7), result("near", 1, 0.02), result("far", 0.5, 0.1),
        ]
        let advice = try advice([first, second])
        #expect(advice.choices.map { $0.best?.operator } == ["flash", "flash", "near", "near"])
        #expect(advice.choices.map { $0.speedup } == [1, 1, 2, 2])
        let near = try #require(advice.whole.first { $0.operator == "near" })
        #expect(near.seconds == 2)
        #expect(abs((near.error ?? 0) - ((0.0016 + 0.0004) / 2).squareRoot()) < 1e-12)
        let words = AdviceText.conclusions(advice).joined(separator: "\n")
        #expect(
            words.contains("Nothing lost: choose `flash`. It takes 4.00 s for all layers, 2.00x as quick as `full`"))
        #expect(
            words.contains("Up to 1.00 % of error: still `flash`")
                || words.contains("Up to 1.0 % of error: still `flash`"))
        #expect(words.contains("`near` takes 2.00 s, 2.00x as quick as `flash`"))
        let page = AdviceText.page(advice, width: 100)
        #expect(page.contains("WHAT TO CHOOSE") && page.contains("HOW TO READ THIS"))
        #expect(AdviceText.markdown(advice).contains("| * | near | 2.00 s | 4.00x | 3.2 % |"))
    }

    @Test func anOperatorThatRefusesALayerIsNotRankedOverTheModel() throws {
        var refusing = result("picky", nil, nil)
        refusing.reasons = [.init(.headDim, "is 32", remedy: "use 16")]
        let advice = try advice([[result("full", 1, 0), result("picky", 0.1, 0)], [result("full", 1, 0), refusing]])
        let picky = try #require(advice.whole.first { $0.operator == "picky" })
        #expect(picky.seconds == nil && !picky.isOnFront)
        #expect(AdviceText.page(advice).contains("- picky: head-dim: is 32; use 16"))
    }

    /// Errors are those of the definition, and what cannot run says why.
    @Test func aStudyMeasuresErrorsAgainstFullAttention() throws {
        let context = try ComputeContext(threads: 2)
        let candidates = AdviceCandidate.all(in: .builtIn, length: 40, only: ["flash", "local"])
        #expect(candidates.map(\.name).prefix(3) == ["flash", "local", "local window [4, 4]"])
        let study = AdviceStudy(candidates: candidates, context: context, seconds: 0.05)
        let inputs = OperandFile.random(length: 40)
        let options = AttentionOptions(scale: 0.7)
        let layer = try study.layer("layers[0]", number: 1, inputs: inputs, options: options)
        #expect(layer.results.count == candidates.count)
        let flash = try #require(layer.results.first { $0.operator == "flash" })
        #expect((flash.error ?? 1) < 1e-6 && flash.isOnFront && (flash.seconds ?? 0) > 0 && (flash.peakBytes ?? 0) > 0)
        #expect(layer.results.last?.reasons.map(\.aspect) == [.window, .window])
        let window = try #require(layer.results.first { $0.setting == "window [4, 4]" })
        var near = options
        near.mask = .window(left: 4, right: 4)
        let truth = try DenseReference.forward(inputs, options: options, precision: .double).output.doubles()
        let cut = try DenseReference.forward(inputs, options: near, precision: .double).output.doubles()
        func norm(_ numbers: [Double]) -> Double { numbers.reduce(0) { $0 + $1 * $1 }.squareRoot() }
        let expected = norm(zip(truth, cut).map { $0 - $1 }) / norm(truth)
        #expect(expected > 0.1 && abs((window.error ?? 0) - expected) < 1e-5)
    }

    @Test func thePictureIsWellFormedAndNamesTheFront() throws {
        let layers = (0..<4).map { _ in
            [result("full", 0.004, 1e-7), result("flash", 0.002, 1e-7), result("near", 0.001, 0.04)]
        }
        let svg = AdvicePicture.svg(try advice(layers))
        let parser = XMLParser(data: Data(svg.utf8))
        #expect(parser.parse(), "\(String(describing: parser.parserError))")
        #expect(svg.components(separatedBy: ">near</text>").count == 6)
        #expect(svg.components(separatedBy: "class=\"frontline\"").count == 6)
        #expect(svg.contains("Which attention fits some-model at 100 tokens?"))
    }
}
