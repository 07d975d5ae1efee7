import Foundation
import PagedEngine
import TensorCore
import Testing

@Suite struct StopCheckerTests {
    /// Feeds pieces as tokens 100, 101, …; returns the text sent after each, and the end.
    private func feed(
        _ pieces: [String], _ params: SamplingParams, eos: [Int] = [], maxTokens: Int = 100, tokens: [Int]? = nil
    ) -> (sent: [String], last: StopUpdate?) {
        var checker = StopChecker(params, eosTokenIds: eos, maxTokens: maxTokens)
        var sent: [String] = []
        var last: StopUpdate?
        for (index, piece) in pieces.enumerated() where last?.finish == nil {
            let update = checker.accept(token: tokens?[index] ?? 100 + index, text: piece)
            sent.append(update.text)
            last = update
        }
        return (sent, last)
    }

    @Test func stopTextsAreFoundAcrossTokens() {
        let (sent, last) = feed(["Hello ", "wo", "rl", "d and", " more"], .init(stop: ["world"]))
        #expect(sent == ["Hello ", "", "", ""])
        #expect(last?.finish == .stop && last?.stopReason == .text("world"))
        let kept = feed(["Hello ", "wo", "rl", "d and", " more"], .init(stop: ["world"], includeStopStrInOutput: true))
        #expect(kept.sent == ["Hello ", "wo", "rl", "d"])
    }

    @Test func onlyABeginningIsHeldBack() {
        #expect(feed(["a", "b", "x", "ab"], .init(stop: ["abc"])).sent == ["", "", "abx", ""])
        #expect(feed(["aab", "c!"], .init(stop: ["abc"])).sent == ["a", ""])
        // The longest beginning of any stop text.
        #expect(feed(["xaba"], .init(stop: ["abab", "ba!"])).sent == ["x"])
    }

    @Test func theEndReleasesWhatWasHeld() {
        #expect(feed(["xab"], .init(stop: ["abc"]), maxTokens: 1).sent == ["xab"])
        #expect(feed(["xab"], .init(stop: ["abc"]), maxTokens: 1).last?.finish == .length)
        var checker = StopChecker(.init(stop: ["abc"]), eosTokenIds: [], maxTokens: 9)
        #expect(checker.accept(token: 1, text: "xab").text == "x")
        let end = checker.abort()
        #expect(end.text == "ab" && end.finish == .abort && end.stopReason == nil)
    }

    @Test func tokensStop() {
        let eos = feed(["a", "</s>"], .init(), eos: [2], tokens: [9, 2])
        #expect(eos.sent == ["a", ""] && eos.last?.finish == .stop && eos.last?.stopReason == nil)
        let stop = feed(["a", "b"], .init(stopTokenIds: [7]), eos: [2], tokens: [9, 7])
        #expect(stop.sent == ["a", ""] && stop.last?.stopReason == .token(7))
        let kept = feed(["a", "b"], .init(stopTokenIds: [7], includeStopStrInOutput: true), tokens: [9, 7])
        #expect(kept.sent == ["a", "b"])
        let ignored = feed(["a", "b"], .init(ignoreEos: true), eos: [2], tokens: [2, 2])
        #expect(ignored.last?.finish == nil && ignored.sent == ["a", "b"])
    }

    @Test func textWinsOverTokenAndTokenOverLength() {
        let both = feed(
            ["ab"], .init(stop: ["b"], stopTokenIds: [7], includeStopStrInOutput: true), maxTokens: 1, tokens: [7])
        #expect(both.last?.stopReason == .text("b"))
        #expect(feed(["ab"], .init(), eos: [7], maxTokens: 1, tokens: [7]).last?.finish == .stop)
        #expect(feed(["ab"], .init(stop: ["b"]), maxTokens: 1).last?.stopReason == .text("b"))
    }

    @Test func nothingStopsBeforeMinTokens() {
        let text = feed(["ab", "ab", "ab"], .init(stop: ["b"], minTokens: 2))
        #expect(text.sent == ["ab", "ab", "a"])
        // Begun before, completed after.
        let across = feed(["x", "a", "b"], .init(stop: ["ab"], minTokens: 2))
        #expect(across.sent == ["x", "", ""] && across.last?.finish == .stop)
        let token = feed(["a", "a", "a"], .init(stopTokenIds: [5], minTokens: 2), tokens: [5, 5, 5])
        #expect(token.sent.count == 2)
    }

    @Test func theFirstToBeCompletedWins() {
        #expect(feed(["abcd"], .init(stop: ["abcd", "bc"])).last?.stopReason == .text("bc"))
        #expect(feed(["abc"], .init(stop: ["bc", "abc"])).last?.stopReason == .text("bc"))
        #expect(feed(["abc"], .init(stop: ["abc", "bc"])).last?.stopReason == .text("abc"))
    }

    @Test func graphemesDoNotHideAStop() {
        // The second piece completes a grapheme with the last letter of the stop text.
        let (sent, last) = feed(["cafe", "\u{301}s"], .init(stop: ["fe"]))
        #expect(sent == ["ca"] && last?.finish == .stop)
        #expect(feed(["x日", "本語"], .init(stop: ["日本"])).sent == ["x", ""])
    }

    /// For any cut into pieces the text sent is the text before the first completed stop.
    @Test func cutsPlayNoPart() {
        var random = CounterRandom(seed: 11)
        for _ in 0..<3000 {
            let letters = ["a", "b", "é"]
            let text = (0..<Int.random(in: 1...14, using: &random)).map { _ in
                letters.randomElement(using: &random) ?? ""
            }
            let stops = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                (0..<Int.random(in: 1...4, using: &random)).map { _ in letters.randomElement(using: &random) ?? "" }
                    .joined()
            }
            let include = Bool.random(using: &random)
            var expected = text.joined()
            search: for end in 1...text.count {
                for stop in stops where text[..<end].joined().hasSuffix(stop) {
                    expected = text[..<end].joined()
                    if !include { expected.removeLast(stop.count) }
                    break search
                }
            }
            var pieces: [String] = [""]
            for letter in text {
                if Bool.random(using: &random) { pieces.append("") }
                pieces[pieces.count - 1] += letter
            }
            let (sent, _) = feed(
                pieces, .init(stop: stops, includeStopStrInOutput: include), maxTokens: pieces.count)
            #expect(sent.joined() == expected, "\(text) \(stops) \(pieces)")
        }
    }
}
