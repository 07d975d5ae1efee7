import Foundation
import Synchronization

/// What calls on this machine have shown about choices that change time and never a result.
///
/// Every candidate computes the same bits, so looking for the quickest costs nothing but the time that the slower ones take
/// longer: calls that are large enough try each candidate in turn, three times each, and from then on take the one with the
/// smallest median. A decision is written to a JSON file that people may read, edit and delete.
///
/// A file that cannot be read, or is another machine's, is left out and replaced at the next decision; one that cannot be
/// written leaves decisions to the process. ``trouble`` says so; no call ever fails for it.
public final class Tuning: Sendable {
    /// The decisions of one machine, as they are written.
    public struct Record: Sendable, Codable, Hashable {
        /// What measurements of one kind of problem have shown.
        public struct Decision: Sendable, Codable, Hashable {
            /// The candidate that is taken.
            public var chosen: Int
            /// What the rule takes without measurements.
            public var rule: Int
            /// Median seconds of each candidate, by its number.
            public var seconds: [String: Double]
        }

        /// The processor and how many of it: decisions of another machine do not hold.
        public var machine: String
        /// By kind of problem.
        public var decisions: [String: Decision]
    }

    private struct Trial {
        var rule: Int
        var samples: [Int: [Double]]
    }

    private struct State {
        var record: Record
        var trials: [String: Trial] = [:]
        var trouble: String?
    }

    /// Where decisions are kept; `nil`: nowhere.
    public let path: String?
    /// Whether calls try candidates; otherwise only what is decided counts.
    public let explores: Bool
    private let state: Mutex<State>

    /// Samples of each candidate before a decision.
    public static let samples = 3
    /// A candidate must be quicker than the rule's by this part, or the rule stands: less is noise.
    private static let margin = 0.02

    /// The decisions of a file.
    /// - Parameters:
    ///   - path: of the file; `nil` keeps decisions in this process alone.
    ///   - explores: whether calls try candidates of what is not decided.
    public init(path: String?, explores: Bool = true) {
        self.path = path
        self.explores = explores
        let empty = Record(machine: Self.machine, decisions: [:])
        guard let path, FileManager.default.fileExists(atPath: path) else {
            state = Mutex(State(record: empty))
            return
        }
        guard let data = FileManager.default.contents(atPath: path),
            let record = try? JSONDecoder().decode(Record.self, from: data)
        else {
            state = Mutex(
                State(record: empty, trouble: "'\(path)' holds no decisions that can be read; it will be replaced"))
            return
        }
        let isOwn = record.machine == Self.machine
        state = Mutex(
            State(
                record: isOwn ? record : empty,
                trouble: isOwn
                    ? nil : "'\(path)' is of another machine (\(record.machine)); it will be replaced"))
    }

    /// The processor that decisions hold for.
    public static let machine = "\(CPUFacts.current.model), \(CPUFacts.current.cores) cores"

    /// The tuning that the environment asks for: `ZOO_TUNING` is `off`, or the path of the file; by default the file is
    /// `attentionzoo/tuning.json` in the user's folder for caches.
    public static func environment(explores: Bool = true) -> Tuning? {
        let text = ProcessInfo.processInfo.environment["ZOO_TUNING"] ?? ""
        if text == "off" { return nil }
        return Tuning(path: text.isEmpty ? defaultPath : text, explores: explores)
    }

    /// Where decisions are kept by default.
    public static var defaultPath: String? {
        if let cache = ProcessInfo.processInfo.environment["XDG_CACHE_HOME"], cache.hasPrefix("/") {
            return cache + "/attentionzoo/tuning.json"
        }
        let folder = FileManager.default.urls(for: .cachesDirectory, in: .userDomainMask).first
        return folder.map { $0.appendingPathComponent("attentionzoo/tuning.json").path }
    }

    /// What is decided so far.
    public var record: Record { state.withLock { $0.record } }

    /// Why the file could not be read or written, if so.
    public var trouble: String? { state.withLock { $0.trouble } }

    /// The candidate that the next call of a kind should take.
    ///
    /// - Parameter rule: what to take without measurements; one of the candidates.
    package func candidate(for kind: String, rule: Int, among candidates: [Int]) -> Int {
        state.withLock { state in
            if let decision = state.record.decisions[kind], candidates.contains(decision.chosen) {
                return decision.chosen
            }
            guard explores, candidates.count > 1 else { return rule }
            if state.trials[kind] == nil {
                let samples = Dictionary(uniqueKeysWithValues: candidates.map { ($0, [Double]()) })
                state.trials[kind] = Trial(rule: rule, samples: samples)
            }
            let trial = state.trials[kind]
            return candidates.min { (trial?.samples[$0]?.count ?? 0) < (trial?.samples[$1]?.count ?? 0) } ?? rule
        }
    }

    /// Forgets a decision, so that it is made again.
    public func forget(_ kind: String) {
        state.withLock { state in
            state.record.decisions[kind] = nil
            state.trials[kind] = nil
        }
    }

    /// Takes note of a call's time; decides, and writes the file, when every candidate has been tried.
    package func note(_ seconds: Double, of candidate: Int, for kind: String) {
        let decided = state.withLock { state -> Record? in
            guard var trial = state.trials[kind], trial.samples[candidate] != nil else { return nil }
            trial.samples[candidate]?.append(seconds)
            state.trials[kind] = trial
            guard trial.samples.values.allSatisfy({ $0.count >= Self.samples }) else { return nil }
            state.trials[kind] = nil
            state.record.decisions[kind] = Self.decide(trial)
            return state.record
        }
        if let decided { write(decided) }
    }

    private static func decide(_ trial: Trial) -> Record.Decision {
        let medians = trial.samples.mapValues { $0.sorted()[$0.count / 2] }
        let rule = medians[trial.rule] ?? .infinity
        let best = medians.min { ($0.value, $0.key) < ($1.value, $1.key) }
        let isBetter = (best?.value ?? .infinity) < rule * (1 - margin)
        return Record.Decision(
            chosen: isBetter ? best?.key ?? trial.rule : trial.rule, rule: trial.rule,
            seconds: Dictionary(uniqueKeysWithValues: medians.map { ("\($0.key)", $0.value) }))
    }

    /// Replaces the file as a whole, so that processes that write at once leave one of their records and no mixture.
    private func write(_ record: Record) {
        guard let path else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            let url = URL(fileURLWithPath: path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try encoder.encode(record).write(to: url, options: .atomic)
            state.withLock { $0.trouble = nil }
        } catch {
            state.withLock { $0.trouble = "'\(path)' cannot be written (\(error.localizedDescription))" }
        }
    }
}
