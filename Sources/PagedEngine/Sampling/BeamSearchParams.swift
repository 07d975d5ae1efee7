/// How beam search continues a text.
///
/// Names and defaults are those of vLLM's `BeamSearchParams`.
public struct BeamSearchParams: Sendable, Hashable {
    /// How many continuations are followed and returned.
    public var beamWidth: Int
    /// The most tokens of a continuation.
    public var maxTokens: Int
    /// Whether the end-of-sequence token does not end a beam.
    public var ignoreEos: Bool
    /// Divides the logits before their log-probabilities are taken; 0, the default, leaves them as they are.
    public var temperature: Double
    /// A beam's score is its log-probability divided by its length to this power.
    public var lengthPenalty: Double
    /// Whether the end-of-sequence token stays in the output's text.
    public var includeStopStrInOutput: Bool

    /// Parameters; nothing is checked before `validate()`.
    public init(
        beamWidth: Int, maxTokens: Int, ignoreEos: Bool = false, temperature: Double = 0, lengthPenalty: Double = 1,
        includeStopStrInOutput: Bool = false
    ) {
        self.beamWidth = beamWidth
        self.maxTokens = maxTokens
        self.ignoreEos = ignoreEos
        self.temperature = temperature
        self.lengthPenalty = lengthPenalty
        self.includeStopStrInOutput = includeStopStrInOutput
    }

    /// Checks every range.
    ///
    /// - Throws: `SamplingError.invalidParameter` that names the first parameter out of its range.
    public func validate() throws(SamplingError) {
        let widths = 1...SamplingParams.maximumSequences
        try SamplingParams.require(
            widths.contains(beamWidth), "beamWidth", "a number from 1 to \(SamplingParams.maximumSequences)",
            beamWidth)
        try SamplingParams.require(maxTokens >= 1, "maxTokens", "at least 1", maxTokens)
        try SamplingParams.require((0...2).contains(temperature), "temperature", "a number from 0 to 2", temperature)
        try SamplingParams.require(lengthPenalty.isFinite, "lengthPenalty", "a finite number", lengthPenalty)
    }
}
