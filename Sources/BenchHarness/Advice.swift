public import AttentionCore

/// What a study found: every operator on every layer of a model, and what follows from it.
public struct Advice: Sendable, Codable {
    /// One candidate on one layer, or over the whole model.
    public struct Result: Sendable, Hashable, Codable {
        /// The operator's id.
        public var `operator`: String
        /// The setting in a few words; empty for the defaults.
        public var setting: String
        /// What a configuration file would say.
        public var specification: String
        /// The kind of attention.
        public var family: String
        /// Whether the mathematics is that of full attention over the keys that the candidate sees.
        public var isExact: Bool
        /// The norm of the difference from full attention in Double, as a part of that attention's norm; over a model the
        /// root of the mean square over the layers.
        public var error: Double?
        /// The largest absolute difference.
        public var maxError: Double?
        /// The middle of the samples, in seconds of one call; over a model the sum over the layers.
        public var seconds: Double?
        /// The distance between the quartiles as a part of the median.
        public var spread: Double?
        /// Bytes that a call adds at its peak, by the plan; over a model the most of a layer.
        public var peakBytes: Int?
        /// Tensors that the operator owns and that began by its rule: an operator that was never trained.
        public var initialised: [String] = []
        /// Whether no other candidate is both quicker and nearer.
        public var isOnFront = false
        /// Why the candidate cannot run; empty when it ran.
        public var reasons: [UnsupportedReason] = []
        /// How near the model's own result stays: the cosine of its vector to that of full attention, where it was tried.
        public var resultCosine: Double?

        /// A candidate that has not run yet.
        public init(operator id: String, setting: String, specification: String, family: String, isExact: Bool = false)
        {
            self.operator = id
            self.setting = setting
            self.specification = specification
            self.family = family
            self.isExact = isExact
        }

        /// What tables call the candidate.
        public var name: String { setting.isEmpty ? self.operator : "\(self.operator) \(setting)" }
    }

    /// The candidates on one layer.
    public struct Layer: Sendable, Codable {
        /// The layer's place in the model.
        public var place: String
        /// The layer's number among the attention layers, from 1.
        public var number: Int
        /// Tokens.
        public var length: Int
        /// The problem in words.
        public var problem: String
        /// Every candidate, the quickest first, then those that refuse.
        public var results: [Result]

        /// The results of a layer.
        public init(place: String, number: Int, length: Int, problem: String, results: [Result]) {
            self.place = place
            self.number = number
            self.length = length
            self.problem = problem
            self.results = results
        }
    }

    /// The model's directory.
    public var model: String
    /// The machine.
    public var machine: MachineFacts
    /// Tokens of the text.
    public var length: Int
    /// Layer by layer.
    public var layers: [Layer]
    /// The candidates over the whole model, the quickest first, then those that refuse.
    public var whole: [Result]
    /// What to choose.
    public var choices: [Choice]

    /// The best candidate within an error that one is ready to accept.
    public struct Choice: Sendable, Hashable, Codable {
        /// The largest error that is accepted, as a part of full attention's norm.
        public var limit: Double
        /// The quickest candidate within it.
        public var best: Result?
        /// How much quicker it is than the quickest candidate that is as good as exact.
        public var speedup: Double?
    }

    /// Errors below this are rounding: the candidate computes full attention.
    public static let rounding = 1e-5
    /// Errors that people may be ready to accept.
    public static let limits = [rounding, 0.01, 0.05, 0.2]

    /// Draws conclusions from layers.
    public init(model: String, machine: MachineFacts, length: Int, layers: [Layer]) {
        self.model = model
        self.machine = machine
        self.length = length
        self.layers = layers
        whole = Self.overModel(layers)
        choices = Self.choices(whole)
    }

    /// For each limit the quickest candidate within it.
    public static func choices(_ results: [Result]) -> [Choice] {
        let ran = results.filter { $0.error != nil && $0.seconds != nil }
        func best(_ limit: Double) -> Result? {
            ran.filter { ($0.error ?? .infinity) <= limit }.min { ($0.seconds ?? 0) < ($1.seconds ?? 0) }
        }
        let exact = best(rounding)
        return limits.map { limit in
            let found = best(limit)
            let ratio = exact?.seconds.flatMap { base in found?.seconds.map { base / $0 } }
            return Choice(limit: limit, best: found, speedup: ratio)
        }
    }

    /// Marks the candidates that no other beats in both time and error, and sorts by time; those that refuse come last.
    public static func ranked(_ results: [Result]) -> [Result] {
        var sorted = results.sorted { left, right in
            switch (left.seconds, right.seconds) {
            case (let one?, let two?): one == two ? left.name < right.name : one < two
            case (nil, nil): left.name < right.name
            default: left.seconds != nil
            }
        }
        var lowest = Double.infinity
        for index in sorted.indices {
            guard let error = sorted[index].error, sorted[index].seconds != nil, error.isFinite else { continue }
            // What differs by rounding alone is equally near: the quicker one wins.
            let effective = max(error, rounding)
            if effective < lowest {
                sorted[index].isOnFront = true
                lowest = effective
            }
        }
        return sorted
    }

    private static func overModel(_ layers: [Layer]) -> [Result] {
        guard let first = layers.first else { return [] }
        let results = first.results.map { start -> Result in
            let all = layers.compactMap { layer in
                layer.results.first { $0.operator == start.operator && $0.setting == start.setting }
            }
            var whole = start
            whole.isOnFront = false
            whole.reasons = all.first { !$0.reasons.isEmpty }?.reasons ?? []
            let errors = all.compactMap(\.error)
            guard errors.count == layers.count else {
                (whole.error, whole.maxError, whole.seconds, whole.peakBytes, whole.spread) = (nil, nil, nil, nil, nil)
                return whole
            }
            whole.error = (errors.reduce(0) { $0 + $1 * $1 } / Double(errors.count)).squareRoot()
            whole.maxError = all.compactMap(\.maxError).max()
            whole.seconds = all.compactMap(\.seconds).reduce(0, +)
            whole.spread = all.compactMap(\.spread).max()
            whole.peakBytes = all.compactMap(\.peakBytes).max()
            return whole
        }
        return ranked(results)
    }
}
