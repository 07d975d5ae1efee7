public import AttentionCore
import Foundation
public import TensorCore

/// One operator on one case: what came out, or why it could not run.
///
/// One line of a JSON lines file.
public struct ResultLine: Sendable, Hashable, Codable {
    /// The operator's id.
    public var `operator`: String
    /// The case's name.
    public var `case`: String
    /// The preset the case belongs to.
    public var preset: String
    /// The problem in words.
    public var problem: String
    /// The problem in numbers.
    public var shape: ProblemShape
    /// Instruction set of the kernels.
    public var isa: String
    /// Threads.
    public var threads: Int
    /// Why the operator cannot run the case; empty when it ran.
    public var reasons: [UnsupportedReason] = []
    /// The times; `nil` when it did not run.
    public var timing: Measurement?
    /// Billions of useful floating-point operations a second: visible pairs only.
    public var gflops: Double?
    /// ``gflops`` as a part of ``peakGFLOPS``.
    public var fractionOfPeak: Double?
    /// The register-only multiply-add loop, measured around this case.
    public var peakGFLOPS: Double?
    /// Billions of bytes a second of keys and values, each counted once; for cases bound by memory.
    public var gigabytesPerSecond: Double?
    /// ``gigabytesPerSecond`` as a part of ``peakGBPerSecond``.
    public var fractionOfBandwidth: Double?
    /// The streaming read, measured around this case.
    public var peakGBPerSecond: Double?
    /// Bytes a call adds at its peak, by the plan: working memory, output and log-sum-exp.
    public var peakBytes: Int?
    /// Bytes the first call added to the resident memory at its peak, as the system counts; `nil` where it cannot tell.
    public var residentGrowthBytes: Int?
    /// The comparison with the reference; `nil` when it did not run.
    public var check: ReferenceCheck.Verdict?
    /// Whether the result was compared with the reference.
    public var checked: Bool { check != nil }

    /// The largest error; `nil` when it did not run.
    public var maxError: Double? { check?.maxError }
    /// The largest error over that of the Float reference.
    public var errorRatio: Double? { check?.errorRatio }

    /// The extents of a problem, for plots and scripts.
    public struct ProblemShape: Sendable, Hashable, Codable {
        /// Sequences.
        public var batch: Int
        /// Queries.
        public var queryLength: Int
        /// Keys.
        public var keyLength: Int
        /// Query heads.
        public var heads: Int
        /// Key heads.
        public var kvHeads: Int
        /// The extent of a query head.
        public var headDim: Int
        /// The extent of a value head.
        public var valueDim: Int
        /// The element type.
        public var dtype: DType
        /// The mask as a configuration value.
        public var mask: ConfigurationValue

        /// The extents.
        public init(_ problem: AttentionProblem) {
            batch = problem.batch
            queryLength = problem.queryLength
            keyLength = problem.keyLength
            heads = problem.heads
            kvHeads = problem.kvHeads
            headDim = problem.headDim
            valueDim = problem.valueDim
            dtype = problem.dtype
            mask = problem.options.mask.configuration
        }
    }

    /// A line without results yet.
    public init(operator name: String, case benchCase: BenchCase, isa: String, threads: Int) {
        self.operator = name
        self.case = benchCase.name
        preset = benchCase.preset
        problem = benchCase.problem.description
        shape = ProblemShape(benchCase.problem)
        self.isa = isa
        self.threads = threads
    }

    /// Fills in what follows from the times.
    mutating func setTiming(_ timing: Measurement, flops: Double, peakGFLOPS: Double) {
        self.timing = timing
        gflops = flops / timing.median / 1e9
        self.peakGFLOPS = peakGFLOPS
        fractionOfPeak = peakGFLOPS > 0 ? flops / timing.median / 1e9 / peakGFLOPS : nil
    }

    /// Fills in what follows from the times when memory is the bound.
    mutating func setBandwidth(bytes: Int, peakGBPerSecond: Double) {
        guard let timing else { return }
        let rate = Double(bytes) / timing.median / 1e9
        gigabytesPerSecond = rate
        self.peakGBPerSecond = peakGBPerSecond
        fractionOfBandwidth = peakGBPerSecond > 0 ? rate / peakGBPerSecond : nil
    }
}

extension ResultLine {
    private enum CodingKeys: String, CodingKey {
        case `operator`, `case`, preset, problem, shape, isa, threads, reasons, timing, gflops, fractionOfPeak
        case peakGFLOPS, gigabytesPerSecond, fractionOfBandwidth, peakGBPerSecond, peakBytes, residentGrowthBytes
        case check
    }

    private enum ExtraKeys: String, CodingKey {
        case kind, checked, passed, maxError, errorRatio, medianSeconds, spread
    }

    /// Encodes the stored facts, and beside them the few that every reader wants without digging.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.operator, forKey: .operator)
        try container.encode(self.case, forKey: .case)
        try container.encode(preset, forKey: .preset)
        try container.encode(problem, forKey: .problem)
        try container.encode(shape, forKey: .shape)
        try container.encode(isa, forKey: .isa)
        try container.encode(threads, forKey: .threads)
        try container.encode(reasons, forKey: .reasons)
        try container.encodeIfPresent(timing, forKey: .timing)
        try container.encodeIfPresent(gflops, forKey: .gflops)
        try container.encodeIfPresent(fractionOfPeak, forKey: .fractionOfPeak)
        try container.encodeIfPresent(peakGFLOPS, forKey: .peakGFLOPS)
        try container.encodeIfPresent(gigabytesPerSecond, forKey: .gigabytesPerSecond)
        try container.encodeIfPresent(fractionOfBandwidth, forKey: .fractionOfBandwidth)
        try container.encodeIfPresent(peakGBPerSecond, forKey: .peakGBPerSecond)
        try container.encodeIfPresent(peakBytes, forKey: .peakBytes)
        try container.encodeIfPresent(residentGrowthBytes, forKey: .residentGrowthBytes)
        try container.encodeIfPresent(check, forKey: .check)
        var extra = encoder.container(keyedBy: ExtraKeys.self)
        try extra.encode("result", forKey: .kind)
        try extra.encode(checked, forKey: .checked)
        try extra.encodeIfPresent(check?.passed, forKey: .passed)
        try extra.encodeIfPresent(maxError, forKey: .maxError)
        try extra.encodeIfPresent(errorRatio, forKey: .errorRatio)
        try extra.encodeIfPresent(timing?.median, forKey: .medianSeconds)
        try extra.encodeIfPresent(timing?.spread, forKey: .spread)
    }
}
