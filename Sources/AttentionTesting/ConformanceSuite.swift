public import AttentionCore
public import Kernels
import Synchronization
import TensorCore

/// What the conformance suite found.
public struct ConformanceReport: Sendable, CustomStringConvertible {
    /// Cases that ran and were compared.
    public internal(set) var accepted = 0
    /// Cases whose reasons were thrown as announced.
    public internal(set) var refused = 0
    /// What went wrong, one line each.
    public internal(set) var failures: [String] = []
    /// The largest error as a part of its limit, and where.
    public internal(set) var worst: (ratio: Double, name: String) = (0, "none")

    /// Whether nothing went wrong.
    public var isPassing: Bool { failures.isEmpty }

    /// One line, then the failures.
    public var description: String {
        let summary =
            "\(accepted) accepted, \(refused) refused, \(failures.count) failed; "
            + "worst error \((worst.ratio * 100).rounded() / 100) of its limit (\(worst.name))"
        return ([summary] + failures.prefix(20)).joined(separator: "\n")
    }
}

/// Runs an operator on every standard case: where it gives no reason it is compared with its references, else its
/// reasons must be thrown.
///
/// So no case is skipped and none passes in vain. Tensors that the operator owns are initialised.
public enum ConformanceSuite {
    private static let references = Mutex<[AttentionCase: Tolerance]>([:])

    /// Runs cases on every context.
    /// - Parameter minimumAccepted: how many cases the operator must accept; fewer is a failure.
    public static func run(
        _ configured: ConfiguredOperator, contexts: [ComputeContext],
        cases: [AttentionCase] = ConformanceCases.standard, minimumAccepted: Int
    ) -> ConformanceReport {
        var report = ConformanceReport()
        for context in contexts {
            for attentionCase in cases {
                do {
                    try check(attentionCase, configured, context, &report)
                } catch {
                    report.failures.append("\(attentionCase.name) [\(context.isa)]: \(error)")
                }
            }
        }
        let accepted = contexts.isEmpty ? 0 : report.accepted / contexts.count
        if accepted < minimumAccepted {
            report.failures.append("accepts \(accepted) cases; expected at least \(minimumAccepted)")
        }
        return report
    }

    private static func check(
        _ attentionCase: AttentionCase, _ configured: ConfiguredOperator, _ context: ComputeContext,
        _ report: inout ConformanceReport
    ) throws {
        var inputs = attentionCase.inputs()
        let options = try attentionCase.options()
        let problem = try AttentionProblem(inputs, options: options)
        let reasons = configured.unsupportedReasons(for: problem)
        if reasons.isEmpty {
            inputs = try configured.initialising(inputs, options: options, seed: attentionCase.seeds.query).inputs
        }
        let result: AttentionOutput
        do throws(AttentionError) {
            result = try configured.forward(inputs, options: options, context: context)
        } catch {
            if case .unsupported(_, _, let thrown) = error, thrown == reasons, !reasons.isEmpty {
                report.refused += 1
            } else {
                report.failures.append(
                    "\(attentionCase.name) [\(context.isa)]: threw \(error) though its reasons are \(reasons)")
            }
            return
        }
        guard reasons.isEmpty else {
            report.failures.append("\(attentionCase.name) [\(context.isa)]: ran although it gives reasons \(reasons)")
            return
        }
        report.accepted += 1
        let wrongForm = form(of: result, problem, configured)
        report.failures += wrongForm.map { "\(attentionCase.name) [\(context.isa)]: \($0)" }
        let tolerance =
            configured.isPlain(for: problem)
            ? try plainTolerance(attentionCase, inputs, options)
            : try Tolerance(configured, inputs, options: options)
        for excess in tolerance.errors(of: result) {
            if excess.ratio > report.worst.ratio {
                report.worst = (excess.ratio, "\(attentionCase.name) [\(context.isa)] \(excess.operand)")
            }
            if !(excess.ratio <= 1) {
                report.failures.append(
                    "\(attentionCase.name) [\(context.isa)]: \(excess.operand) is off by \(excess.error), "
                        + "allowed \(excess.limit)")
            }
        }
    }

    /// What is wrong with a result before any number is looked at.
    private static func form(
        of result: AttentionOutput, _ problem: AttentionProblem, _ configured: ConfiguredOperator
    ) -> [String] {
        var failures: [String] = []
        let shape = problem.outputShape
        if result.output.shape != shape || result.output.dtype != problem.dtype {
            failures.append(
                "output is \(result.output.dtype.rawValue) \(result.output.shape); expected "
                    + "\(problem.dtype.rawValue) \(shape)")
        }
        guard let logSumExp = result.logSumExp else {
            let isDeclared = configured.capabilities.features.contains(.logSumExp)
            return failures + (isDeclared ? ["logSumExp is missing though it is declared"] : [])
        }
        let rows = problem.logSumExpShape
        if logSumExp.shape != rows || logSumExp.dtype != .float32 {
            failures.append("logSumExp is \(logSumExp.dtype.rawValue) \(logSumExp.shape); expected F32 \(rows)")
        }
        return failures
    }

    /// References of softmax attention are the same for every operator and instruction set: computed once for each case.
    private static func plainTolerance(
        _ attentionCase: AttentionCase, _ inputs: AttentionInputs, _ options: AttentionOptions
    ) throws -> Tolerance {
        if let known = references.withLock({ $0[attentionCase] }) { return known }
        let made = try Tolerance(inputs, options: options)
        references.withLock { $0[attentionCase] = made }
        return made
    }
}
