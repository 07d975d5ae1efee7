import AttentionZoo
import BenchHarness
import Benchmark

/// How many times as long a call takes as the machine's peak of the same moment would allow, in thousandths.
///
/// The peak is a multiply-add loop on registers, and for decoding a streaming read. A slower clock, a shared core or
/// another machine of the family changes both sides alike, so that a number of yesterday can be a threshold.
struct PeakRatio {
    /// The metric's name is the key in the files of `Thresholds/`.
    static let metric = BenchmarkMetric.custom("thousandths of the peak's time")

    private let configured: ConfiguredOperator
    private let benchCase: BenchCase
    private let inputs: AttentionInputs
    private let context: ComputeContext
    /// Calls of one batch.
    private let calls: Int

    /// Seconds that the calls of a batch take together, about.
    private static let batchSeconds = 0.05
    private static let batches = 15

    /// Makes the operands, and the tensors that the operator owns.
    /// - Throws: `BenchError` or `AttentionError` when the case cannot run.
    init(_ benchCase: BenchCase, _ configured: ConfiguredOperator) throws {
        self.benchCase = benchCase
        self.configured = configured
        context = try ComputeContext.shared()
        inputs = try configured.initialising(benchCase.inputs(), options: benchCase.problem.options, seed: 1).inputs
        _ = try configured.forward(inputs, options: benchCase.problem.options, context: context)
        let begin = AlternatingTimer.now()
        _ = try configured.forward(inputs, options: benchCase.problem.options, context: context)
        calls = min(200, max(3, Int(Self.batchSeconds / (AlternatingTimer.now() - begin))))
    }

    /// The median of several batches.
    ///
    /// The framework compares ninth deciles alone, and on a shared machine that of single batches moves by a third.
    func measure() throws -> Int {
        var ratios: [Int] = []
        for _ in 0..<Self.batches { ratios.append(try measureBatch()) }
        return ratios.sorted()[Self.batches / 2]
    }

    /// The fastest of a batch of calls over the time that the peaks around it allow.
    ///
    /// Peaks are the best of several passes, so a call that was interrupted must not stand against them.
    private func measureBatch() throws -> Int {
        let before = shortestSeconds()
        var fastest = Double.infinity
        for _ in 0..<calls {
            let begin = AlternatingTimer.now()
            blackHole(try configured.forward(inputs, options: benchCase.problem.options, context: context))
            fastest = min(fastest, AlternatingTimer.now() - begin)
        }
        return Int(fastest / min(before, shortestSeconds()) * 1000)
    }

    private func shortestSeconds() -> Double {
        if benchCase.isBandwidthBound {
            return Double(benchCase.keyValueBytes) / 1e9 / MachinePeak.readGBPerSecond(context)
        }
        return benchCase.problem.usefulFlops / 1e9 / MachinePeak.fmaGFLOPS(context)
    }
}
