/// AWQ (Lin, Tang, Tang, Yang, Dang and Han, 2023, arXiv 2306.00978): inputs that are large are made smaller, and the
/// columns of the weight that meet them larger, so that rounding harms those columns less.
///
/// ``searchScales(statistics:weights:scheme:context:output:)`` finds the factors, the `fold` functions put their
/// inverses into the operation before, ``searchClip(weight:inputs:scheme:context:)`` finds where weights are best clipped,
/// and ``RoundToNearest`` quantises the scaled and clipped weight. Nothing here knows what the layers are for.
public struct AWQ: Sendable {
    /// Exponents that are tried, from 0 to below 1 in equal steps.
    public var gridPoints: Int
    /// Whether a scale also falls with the mean magnitude of its column of the weights, relative to the group:
    /// `s = mean|x|^ratio / (mean|w|^(1 − ratio) + 10⁻⁴)`, as AutoAWQ has it, in place of the paper's `mean|x|^ratio`.
    public var usesWeightMagnitudes: Bool
    /// Ranges that ``searchClip(weight:inputs:scheme:context:)`` tries: `1 − i / clipSteps` of the whole range.
    public var clipSteps: Int
    /// How far a range may shrink: i stays below this times ``clipSteps``.
    public var largestShrink: Double
    /// Rows of inputs that the clip search looks at, taken in equal steps over all rows.
    public var clipRows: Int

    /// The usual settings.
    public init(
        gridPoints: Int = 20, usesWeightMagnitudes: Bool = true, clipSteps: Int = 20, largestShrink: Double = 0.5,
        clipRows: Int = 512
    ) {
        self.gridPoints = gridPoints
        self.usesWeightMagnitudes = usesWeightMagnitudes
        self.clipSteps = clipSteps
        self.largestShrink = largestShrink
        self.clipRows = clipRows
    }

    /// What a search for scales has found.
    public struct Scales: Sendable {
        /// The factor of each input's column; 1 everywhere when no scaling is best.
        public let scales: [Float]
        /// The exponent of the best scales; `nil` when no scaling is best.
        public let ratio: Double?
        /// The mean squared error of the output with these scales.
        public let error: Double
        /// The same without scales: of round-to-nearest.
        public let unscaledError: Double
        /// The error of every exponent, in the order of the grid.
        public let errors: [Double]
    }
}
