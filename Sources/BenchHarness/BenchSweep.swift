public import AttentionCore
public import Kernels
import TensorCore

/// Runs operators over cases: checks each against the reference, then times them in turn.
public struct BenchSweep: Sendable {
    /// What happens, for progress displays.
    public enum Event: Sendable {
        /// A case begins; `index` counts from 0.
        case started(index: Int, count: Int, name: String)
        /// A case has ended with these lines, one for each operator.
        case finished(index: Int, count: Int, lines: [ResultLine])
    }

    /// What is measured.
    public enum Direction: String, Sendable, Hashable, CaseIterable {
        /// The output.
        case forward
        /// The gradients, given the output.
        case backward

        /// Useful operations over those of the forward pass: it has two products of queries by keys, the gradients five.
        var flopFactor: Double { self == .forward ? 1 : 2.5 }
    }

    /// Operators, in the order of the table.
    public var operators: [ConfiguredOperator]
    /// Cases, in the order of the table.
    public var cases: [BenchCase]
    /// Threads and kernels.
    public var context: ComputeContext
    /// Seconds the whole sweep aims to take, checks included.
    public var seconds: Double
    /// What is measured.
    public var direction: Direction

    /// A sweep.
    public init(
        operators: [ConfiguredOperator], cases: [BenchCase], context: ComputeContext, seconds: Double,
        direction: Direction = .forward
    ) {
        self.direction = direction
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
            let lines = try configured(for: benchCase).measure(
                benchCase, budget: max(0.2, remaining / Double(cases.count - index)))
            report(.finished(index: index, count: cases.count, lines: lines))
            results += lines
        }
        return results
    }

    /// The sweep with the options that a case has for its operators.
    private func configured(for benchCase: BenchCase) throws(BenchError) -> BenchSweep {
        var result = self
        do throws(AttentionError) {
            for (index, configured) in operators.enumerated() {
                guard let options = benchCase.configurations[configured.id] else { continue }
                result.operators[index] = try configured.with(options)
            }
        } catch {
            throw .attention(error)
        }
        return result
    }

    /// The problem with an operator's own pattern in its mask.
    private static func whole(_ problem: AttentionProblem, _ configured: ConfiguredOperator) -> AttentionProblem {
        var result = problem
        result.options.mask = .and([problem.options.mask, configured.pattern(for: problem)])
        return result
    }

    private func measure(_ benchCase: BenchCase, budget: Double) throws(BenchError) -> [ResultLine] {
        let start = AlternatingTimer.now()
        var lines = operators.map { configured in
            var line = ResultLine(
                operator: configured.id, case: benchCase, isa: context.isa, threads: context.threads)
            line.reasons = reasons(configured, benchCase.problem)
            if direction == .backward { line.case += " backward" }
            return line
        }
        let able = operators.indices.filter { lines[$0].reasons.isEmpty }
        guard !able.isEmpty else { return lines }
        let plain = try benchCase.inputs()
        do throws(AttentionError) {
            var calls: [SweepCall] = []
            for index in able {
                calls.append(
                    try SweepCall(operators[index], plain, benchCase.problem, direction: direction, context: context))
            }
            let estimates = try check(benchCase, plain, able, calls, &lines)
            let elapsed = AlternatingTimer.now() - start
            try time(benchCase, able, calls, estimates, budget: max(0.1, budget - elapsed), &lines)
        } catch {
            throw .attention(error)
        }
        return lines
    }

    private func reasons(_ configured: ConfiguredOperator, _ problem: AttentionProblem) -> [UnsupportedReason] {
        let reasons = configured.unsupportedReasons(for: problem, context: context)
        guard direction == .backward, reasons.isEmpty else { return reasons }
        return configured.unsupportedGradientReasons(for: problem, context: context)
    }

    /// Runs every able operator twice: cold for memory and check, warm for an estimate of its time.
    private func check(
        _ benchCase: BenchCase, _ plain: AttentionInputs, _ able: [Int], _ calls: [SweepCall],
        _ lines: inout [ResultLine]
    ) throws(AttentionError) -> [Double] {
        let problem = benchCase.problem
        var exact: ReferenceCheck?
        var estimates: [Double] = []
        for (call, index) in zip(calls, able) {
            let configured = operators[index]
            if direction == .forward {
                let (output, growth) = try ResidentMemory.growth { () throws(AttentionError) in
                    try configured.forward(call.inputs, options: problem.options, context: context)
                }
                lines[index].peakBytes = configured.plan(problem, context: context).peakBytes
                lines[index].residentGrowthBytes = growth
                if configured.isPlain(for: problem) {
                    // Plain softmax attention has one reference for all.
                    if exact == nil { exact = try ReferenceCheck(plain, problem: problem, effort: .sampled) }
                    lines[index].check = try exact?.verdict(on: output)
                } else if configured.capabilities.exactness == .exact {
                    // Exact over a pattern of its own: the same reference under another mask.
                    let own = try ReferenceCheck(
                        call.inputs, problem: Self.whole(problem, configured), effort: .sampled)
                    lines[index].check = try own.verdict(on: output)
                } else {
                    lines[index].check = try ownCheck(configured, benchCase)
                }
            } else {
                let (_, growth) = try ResidentMemory.growth { () throws(AttentionError) in try call.run() }
                lines[index].peakBytes = configured.gradientPlan(problem, context: context)?.peakBytes
                lines[index].residentGrowthBytes = growth
                lines[index].check = try gradientCheck(configured, benchCase)
            }
            let begin = AlternatingTimer.now()
            try call.run()
            estimates.append(AlternatingTimer.now() - begin)
        }
        return estimates
    }

    /// Scores of a problem whose own references, in Double and in Float, take about a second.
    private static let ownScores = 8 << 20

    /// A case that is short enough for an operator's own references, which know no sampling; the case itself when the
    /// operator does not take the short one.
    private func short(_ configured: ConfiguredOperator, _ benchCase: BenchCase, scores: Int) -> BenchCase {
        let shorter = benchCase.shortened(toScores: scores)
        return reasons(configured, shorter.problem).isEmpty ? shorter : benchCase
    }

    private func ownCheck(
        _ configured: ConfiguredOperator, _ benchCase: BenchCase
    ) throws(AttentionError) -> ReferenceCheck.Verdict {
        let short = short(configured, benchCase, scores: Self.ownScores)
        let call = try SweepCall(
            configured, try short.operands(), short.problem, direction: .forward, context: context)
        let check = try ReferenceCheck(
            call.inputs, problem: short.problem, effort: .everything, reference: configured)
        var verdict = try check.verdict(
            on: configured.forward(call.inputs, options: short.problem.options, context: context))
        if short != benchCase { verdict.coverage = "everything, at \(short.problem.keyLength) keys" }
        return verdict
    }

    private func gradientCheck(
        _ configured: ConfiguredOperator, _ benchCase: BenchCase
    ) throws(AttentionError) -> ReferenceCheck.Verdict? {
        let short = short(configured, benchCase, scores: Self.ownScores / 4)
        let call = try SweepCall(
            configured, try short.operands(), short.problem, direction: .backward, context: context)
        let check = try GradientCheck(
            configured, call.inputs, gradient: call.gradient, options: short.problem.options)
        guard let worst = check.verdicts(on: try call.gradients()).max(by: { $0.part < $1.part }) else { return nil }
        let length = short == benchCase ? "" : ", at \(short.problem.keyLength) keys"
        return ReferenceCheck.Verdict(
            maxError: worst.maxError, floatError: worst.floatError, tolerance: worst.tolerance,
            coverage: "every gradient\(length); worst by \(worst.operand)")
    }

    private func time(
        _ benchCase: BenchCase, _ able: [Int], _ calls: [SweepCall], _ estimates: [Double], budget: Double,
        _ lines: inout [ResultLine]
    ) throws(AttentionError) {
        let problem = benchCase.problem
        let readsMemory = benchCase.isBandwidthBound && direction == .forward
        var peaks = PeakSamples(context: context, readsMemory: readsMemory)
        peaks.take()
        let timer = AlternatingTimer(budgetSeconds: budget)
        let samples = try timer.measure(estimates: estimates, afterRound: { peaks.takeWhenDue(every: budget / 4) }) {
            (subject) throws(AttentionError) in
            try calls[subject].run()
        }
        peaks.take()
        let plainFlops = problem.usefulFlops * direction.flopFactor
        for (subject, index) in able.enumerated() {
            let pattern = operators[index].pattern(for: problem)
            let flops =
                pattern == .full
                ? plainFlops : Self.whole(problem, operators[index]).usefulFlops * direction.flopFactor
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
