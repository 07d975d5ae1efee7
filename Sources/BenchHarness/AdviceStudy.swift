public import AttentionCore
public import Kernels
import TensorCore

/// Ranks candidates on the operands of one attention layer: error against full attention in Double, time, memory.
public struct AdviceStudy: Sendable {
    /// Contestants.
    public var candidates: [AdviceCandidate]
    /// Threads and kernels.
    public var context: ComputeContext
    /// Seconds that the timing of one layer aims to take.
    public var seconds: Double

    /// A study.
    public init(candidates: [AdviceCandidate], context: ComputeContext, seconds: Double) {
        self.candidates = candidates
        self.context = context
        self.seconds = seconds
    }

    /// Runs every candidate on a layer's operands: once for its error, then all of them in turn for their times.
    ///
    /// - Parameter options: the layer's own; what a candidate adds, such as a window, is not part of the truth.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other or a candidate breaks its word.
    public func layer(
        _ place: String, number: Int, inputs: AttentionInputs, options: AttentionOptions
    ) throws(AttentionError) -> Advice.Layer {
        let problem = try AttentionProblem(inputs, options: options)
        let truth = try DenseReference.forward(inputs, options: options, precision: .double).output.doubles()
        let norm = truth.reduce(0) { $0 + $1 * $1 }.squareRoot()
        var results: [Advice.Result] = []
        var runs: [Run] = []
        for candidate in candidates {
            var result = Advice.Result(candidate)
            do throws(AttentionError) {
                let run = try Run(candidate, inputs, options, index: results.count, context)
                let begin = AlternatingTimer.now()
                let output = try run.call(context)
                var timed = run
                timed.estimate = AlternatingTimer.now() - begin
                (result.error, result.maxError) = Self.difference(output.output.doubles(), truth, norm)
                result.peakBytes = run.configured.plan(run.problem, context: context).peakBytes
                result.isExact = run.configured.capabilities.exactness == .exact
                result.initialised = run.initialised
                runs.append(timed)
            } catch {
                guard case .unsupported(_, _, let reasons) = error else { throw error }
                result.reasons = reasons
            }
            results.append(result)
        }
        try time(runs, &results)
        return Advice.Layer(
            place: place, number: number, length: problem.queryLength, problem: problem.description,
            results: Advice.ranked(results))
    }

    private func time(_ runs: [Run], _ results: inout [Advice.Result]) throws(AttentionError) {
        let timer = AlternatingTimer(budgetSeconds: seconds)
        let samples = try timer.measure(estimates: runs.map(\.estimate)) { (index) throws(AttentionError) in
            _ = try runs[index].call(context)
        }
        for (run, taken) in zip(runs, samples) {
            guard let timing = Measurement(samples: taken.seconds, callsPerSample: taken.callsPerSample) else {
                continue
            }
            results[run.index].seconds = timing.median
            results[run.index].spread = timing.spread
        }
    }

    private static func difference(
        _ ours: [Double], _ truth: [Double], _ norm: Double
    ) -> (relative: Double, largest: Double) {
        guard ours.count == truth.count else { return (.infinity, .infinity) }
        var squares = 0.0
        var largest = 0.0
        for (own, right) in zip(ours, truth) {
            let off = abs(own - right)
            squares += off * off
            // A NaN must not hide behind a maximum.
            largest = off <= largest ? largest : off
        }
        let distance = squares.squareRoot()
        return (norm > 0 ? distance / norm : distance, largest)
    }
}

/// A candidate that is ready to be called.
private struct Run {
    let configured: ConfiguredOperator
    let problem: AttentionProblem
    let inputs: AttentionInputs
    let options: AttentionOptions
    let initialised: [String]
    let index: Int
    var estimate = 0.0

    init(
        _ candidate: AdviceCandidate, _ inputs: AttentionInputs, _ options: AttentionOptions, index: Int,
        _ context: ComputeContext
    ) throws(AttentionError) {
        var own = candidate.resolved.options(adding: options.mask)
        own.scale = own.scale ?? options.scale
        own.softcap = own.softcap ?? options.softcap
        var plain = inputs
        plain.parameters = [:]
        let problem = try AttentionProblem(plain, options: own)
        configured = try candidate.resolved.choose(for: problem, context: context)
        (self.inputs, initialised) = try configured.initialising(plain, options: own, seed: own.seed)
        self.problem = problem
        self.options = own
        self.index = index
    }

    func call(_ context: ComputeContext) throws(AttentionError) -> AttentionOutput {
        try configured.forward(inputs, options: options, context: context)
    }
}

extension Advice.Result {
    fileprivate init(_ candidate: AdviceCandidate) {
        self.init(
            operator: candidate.id, setting: candidate.setting, specification: candidate.specification.jsonText,
            family: candidate.family, isExact: false)
    }
}
