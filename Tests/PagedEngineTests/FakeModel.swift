import PagedEngine
import TensorCore

/// A model without numbers.
///
/// The value of a token is a hash of its own and of the value before it, read through the page table from simulated
/// memory, and what follows is a hash of the last value. Whatever reads a wrong slot continues wrongly.
struct FakeModel {
    static let vocabulary = 7
    static let eos = 0

    private let size: Int
    private let window: Int?
    private var memory: [[UInt64]]
    private var swapMemory: [[UInt64]]
    /// For each request, the values of the prompt's rows that were asked for, with their positions.
    private(set) var promptRows: [Int: [(position: Int, value: UInt64)]] = [:]

    init(pages: Int, size: Int, swap: Int, window: Int? = nil) {
        self.size = size
        self.window = window
        memory = Array(repeating: Array(repeating: 0, count: size), count: pages)
        swapMemory = Array(repeating: Array(repeating: 0, count: size), count: swap)
    }

    /// Carries out a step as a runner would; `answer` makes an outcome of a sequence's last value.
    mutating func run(
        _ step: ScheduledStep, blocks: BlockManager,
        answer: (ScheduledSequence, UInt64) throws -> SequenceResult.Outcome = { outcome($0.demand, $1) }
    ) throws -> [SequenceResult] {
        for transfer in step.transfers {
            switch transfer {
            case .copy(let source, let target): memory[target] = memory[source]
            case .swapOut(let page, let swapPage): swapMemory[swapPage] = memory[page]
            case .swapIn(let swapPage, let page): memory[page] = swapMemory[swapPage]
            }
        }
        var results: [SequenceResult] = []
        for sequence in step.sequences {
            var value = Self.start
            let seen = max(0, sequence.start - (window ?? .max) + 1) / size
            try require(
                sequence.pageTable.dropFirst(seen).allSatisfy { $0 >= 0 && blocks.referenceCount(of: $0) > 0 },
                "a page that is seen was given back: \(sequence.pageTable)")
            if sequence.start > 0 {
                let last = sequence.start - 1
                value = memory[sequence.pageTable[last / size]][last % size]
            }
            for (offset, token) in sequence.tokens.enumerated() {
                let position = sequence.start + offset
                value = Self.value(after: value, token)
                let page = sequence.pageTable[position / size]
                try require(blocks.referenceCount(of: page) <= 1 && !blocks.isCached(page), "a write to a shared page")
                memory[page][position % size] = value
                if sequence.promptRows.contains(position) {
                    promptRows[sequence.request, default: []].append((position, value))
                }
            }
            results.append(SequenceResult(id: sequence.id, outcome: try answer(sequence, value)))
        }
        return results
    }

    // MARK: What the model says

    static let start: UInt64 = 99

    static func value(after value: UInt64, _ token: Int) -> UInt64 {
        CounterRandom.value(seed: value, index: UInt64(token))
    }

    static func token(_ value: UInt64, index: Int) -> Int {
        Int(CounterRandom.value(seed: value ^ 0x55, index: UInt64(index)) % UInt64(vocabulary))
    }

    static func candidates(_ value: UInt64, count: Int) -> [TokenLogprob] {
        let order = (0..<vocabulary).sorted {
            CounterRandom.value(seed: value, index: UInt64(100 + $0))
                < CounterRandom.value(
                    seed: value, index: UInt64(100 + $1))
        }
        return order.prefix(count).enumerated().map { place, token in
            let step = Float(CounterRandom.value(seed: value, index: UInt64(200 + place)) % 1000) / 500
            return TokenLogprob(token: token, logprob: -Float(place) - step / 8 - 0.5, rank: place + 1)
        }
    }

    static func outcome(_ demand: ScheduledSequence.Demand, _ value: UInt64) -> SequenceResult.Outcome {
        switch demand {
        case .nothing: .computed
        case .sample(let indices):
            .sampled(
                indices.map { index in
                    let token = token(value, index: index)
                    return SampledOutcome(
                        token: token, logprob: -Double(token) / 8, finish: token == eos ? .stop : nil)
                })
        case .candidates(let count): .candidates(candidates(value, count: count))
        }
    }

    // MARK: Alone

    /// The continuations of a request by itself, in plain arrays.
    static func alone(_ request: EngineRequest, maxTokens: Int) -> [[Int]] {
        switch request.decoding {
        case .sampling(let candidates):
            (0..<candidates).map { sampled(request.prompt, index: $0, maxTokens: maxTokens) }
        case .beam(let params, let ends):
            beams(request.prompt, params, ends: ends, maxTokens: maxTokens)
        }
    }

    private static func sampled(_ prompt: [Int], index: Int, maxTokens: Int) -> [Int] {
        var value = prompt.reduce(start, value(after:_:))
        var output: [Int] = []
        while output.count < maxTokens {
            output.append(token(value, index: index))
            if output.last == eos { break }
            value = self.value(after: value, output[output.count - 1])
        }
        return output
    }

    private struct Beam {
        var tokens: [Int]
        var logprob: Double
        var score: Double
    }

    private static func beams(_ prompt: [Int], _ params: BeamSearchParams, ends: [Int], maxTokens: Int) -> [[Int]] {
        func score(_ logprob: Double, _ output: [Int]) -> Double {
            var length = prompt.count + output.count
            if !params.ignoreEos, let last = output.last, ends.contains(last) { length -= 1 }
            var divisor = 1.0
            for _ in 0..<Int(params.lengthPenalty) { divisor *= Double(length) }
            return logprob / divisor
        }
        func sorted(_ beams: [Beam]) -> [Beam] {
            beams.enumerated().sorted { ($1.element.score, $0.offset) < ($0.element.score, $1.offset) }.map(\.element)
        }
        var live = [Beam(tokens: [], logprob: 0, score: 0)]
        var completed: [Beam] = []
        for _ in 0..<maxTokens {
            var next: [Beam] = []
            for beam in live {
                let value = (prompt + beam.tokens).reduce(start, value(after:_:))
                for candidate in candidates(value, count: 2 * params.beamWidth) {
                    var child = Beam(
                        tokens: beam.tokens + [candidate.token], logprob: beam.logprob + Double(candidate.logprob),
                        score: 0)
                    child.score = score(child.logprob, child.tokens)
                    if !params.ignoreEos, ends.contains(candidate.token) {
                        completed.append(child)
                    } else {
                        next.append(child)
                    }
                }
            }
            live = Array(sorted(next).prefix(params.beamWidth))
        }
        return sorted(completed + live).prefix(params.beamWidth).map(\.tokens)
    }
}
