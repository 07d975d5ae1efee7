public import AttentionCore
public import Kernels

/// Runs operators over cases: checks each against the reference, then times them in turn.
public struct BenchSweep: Sendable {
    /// What happens, for progress displays.
    public enum Event: Sendable {
        /// A case begins; `index` counts from 0.
        case started(index: Int, count: Int, name: String)
        /// A case has ended with these lines, one for each operator.
        case finished(index: Int, count: Int, lines: [ResultLine])
    }

    /// Operators, in the order of the table.
    public var operators: [ConfiguredOperator]
    /// Cases, in the order of the table.
    public var cases: [BenchCase]
    /// Threads and kernels.
    public var context: ComputeContext
    /// Seconds the whole sweep aims to take, checks included.
    public var seconds: Double

    /// A sweep.
    public init(operators: [ConfiguredOperator], cases: [BenchCase], context: ComputeContext, seconds: Double) {
        self.operators = operators
        self.cases = cases
        self.context = context
        self.seconds = seconds
    }

    /// Runs all; a line for each operator of each case, able or not.
    ///
    /// Cost: about ``seconds``.
    /// - Throws: ``BenchError`` when operands cannot be had or an operator breaks its word.
    public func run(_ report: (Event) -> Void = { _ in }) throws(BenchError) -> [ResultLine] {
        let start = AlternatingTimer.now()
        var results: [ResultLine] = []
        for (index, benchCase) in cases.enumerated() {
            report(.started(index: index, count: cases.count, name: benchCase.name))
            let remaining = seconds - (AlternatingTimer.now() - start)
            let lines = try measure(benchCase, budget: max(0.2, remaining / Double(cases.count - index)))
            report(.finished(index: index, count: cases.count, lines: lines))
            results += lines
        }
        return results
    }

    private func measure(_ benchCase: BenchCase, budget: Double) throws(BenchError) -> [ResultLine] {
        let start = AlternatingTimer.now()
        var lines = operators.map { configured in
            var line = ResultLine(
                operator: configured.id, case: benchCase, isa: context.isa, threads: context.threads)
            line.reasons = configured.unsupportedReasons(for: benchCase.problem)
            return line
        }
        let able = operators.indices.filter { lines[$0].reasons.isEmpty }
        guard !able.isEmpty else { return lines }
        let inputs = try benchCase.inputs()
        do throws(AttentionError) {
            let estimates = try check(benchCase, inputs, able, &lines)
            let elapsed = AlternatingTimer.now() - start
            try time(benchCase, inputs, able, estimates, budget: max(0.1, budget - elapsed), &lines)
        } catch {
            throw .attention(error)
        }
        return lines
    }

    /// Runs every able operator twice: cold for memory and check, warm for an estimate of its time.
    private func check(
        _ benchCase: BenchCase, _ inputs: AttentionInputs, _ able: [Int], _ lines: inout [ResultLine]
    ) throws(AttentionError) -> [Double] {
        let problem = benchCase.problem
        var exact: ReferenceCheck?
        var estimates: [Double] = []
        for index in able {
            let configured = operators[index]
            let (output, growth) = try ResidentMemory.growth { () throws(AttentionError) in
                try configured.forward(inputs, options: problem.options, context: context)
            }
            lines[index].peakBytes = configured.plan(problem, context: context).peakBytes
            lines[index].residentGrowthBytes = growth
            if configured.capabilities.exactness == .exact {
                // Exact operators share one reference.
                if exact == nil { exact = try ReferenceCheck(inputs, problem: problem, effort: .sampled) }
                lines[index].check = try exact?.verdict(on: output)
            } else {
                let reference = try ReferenceCheck(
                    inputs, problem: problem, effort: .everything, reference: configured)
                lines[index].check = try reference.verdict(on: output)
            }
            let begin = AlternatingTimer.now()
            _ = try configured.forward(inputs, options: problem.options, context: context)
            estimates.append(AlternatingTimer.now() - begin)
        }
        return estimates
    }

    private func time(
        _ benchCase: BenchCase, _ inputs: AttentionInputs, _ able: [Int], _ estimates: [Double], budget: Double,
        _ lines: inout [ResultLine]
    ) throws(AttentionError) {
        let problem = benchCase.problem
        let readsMemory = benchCase.isBandwidthBound
        var peaks = PeakSamples(context: context, readsMemory: readsMemory)
        peaks.take()
        let timer = AlternatingTimer(budgetSeconds: budget)
        let samples = try timer.measure(estimates: estimates, afterRound: { peaks.takeWhenDue(every: budget / 4) }) {
            (subject) throws(AttentionError) in
            _ = try operators[able[subject]].forward(inputs, options: problem.options, context: context)
        }
        peaks.take()
        let flops = problem.usefulFlops
        for (subject, index) in able.enumerated() {
            guard
                let timing = Measurement(
                    samples: samples[subject].seconds, callsPerSample: samples[subject].callsPerSample)
            else { continue }
            lines[index].setTiming(timing, flops: flops, peakGFLOPS: peaks.gflops)
            if readsMemory {
                lines[index].setBandwidth(bytes: benchCase.keyValueBytes, peakGBPerSecond: peaks.gigabytesPerSecond)
            }
        }
    }
}

/// Peaks measured in between: machines drift, so that a fraction of yesterday's peak would mean nothing.
private struct PeakSamples {
    let context: ComputeContext
    let readsMemory: Bool
    private var arithmetic: [Double] = []
    private var reading: [Double] = []
    private var last = 0.0

    init(context: ComputeContext, readsMemory: Bool) {
        self.context = context
        self.readsMemory = readsMemory
    }

    mutating func take() {
        arithmetic.append(MachinePeak.fmaGFLOPS(context))
        if readsMemory { reading.append(MachinePeak.readGBPerSecond(context)) }
        last = AlternatingTimer.now()
    }

    mutating func takeWhenDue(every seconds: Double) {
        if AlternatingTimer.now() - last >= max(0.25, seconds) { take() }
    }

    /// The middle of the samples, as of the times that are compared with it.
    var gflops: Double { Measurement(samples: arithmetic)?.median ?? 0 }
    var gigabytesPerSecond: Double { Measurement(samples: reading)?.median ?? 0 }
}
