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
        for attentionCase in cases {
            do {
                var prepared = try PreparedCase(attentionCase, configured)
                for context in contexts { try check(&prepared, configured, context, &report) }
            } catch {
                report.failures.append("\(attentionCase.name): \(error)")
            }
        }
        let accepted = contexts.isEmpty ? 0 : report.accepted / contexts.count
        if accepted < minimumAccepted {
            report.failures.append("accepts \(accepted) cases; expected at least \(minimumAccepted)")
        }
        return report
    }

    /// What all instruction sets share of a case: the operands, and the references once something is compared with them.
    private struct PreparedCase {
        let attentionCase: AttentionCase
        let inputs: AttentionInputs
        let options: AttentionOptions
        let problem: AttentionProblem
        let reasons: [UnsupportedReason]
        private var known: Tolerance?

        init(_ attentionCase: AttentionCase, _ configured: ConfiguredOperator) throws {
            self.attentionCase = attentionCase
            let plain = attentionCase.inputs()
            options = try attentionCase.options()
            problem = try AttentionProblem(plain, options: options)
            reasons = configured.unsupportedReasons(for: problem)
            inputs =
                reasons.isEmpty
                ? try configured.initialising(plain, options: options, seed: attentionCase.seeds.query).inputs : plain
        }

        mutating func tolerance(_ configured: ConfiguredOperator) throws -> Tolerance {
            if let known { return known }
            let made =
                configured.isPlain(for: problem)
                ? try plainTolerance(attentionCase, inputs, options)
                : try Tolerance(configured, inputs, options: options)
            known = made
            return made
        }
    }

    private static func check(
        _ prepared: inout PreparedCase, _ configured: ConfiguredOperator, _ context: ComputeContext,
        _ report: inout ConformanceReport
    ) throws {
        let name = "\(prepared.attentionCase.name) [\(context.isa)]"
        let reasons = prepared.reasons
        let result: AttentionOutput
        do throws(AttentionError) {
            result = try configured.forward(prepared.inputs, options: prepared.options, context: context)
        } catch {
            if case .unsupported(_, _, let thrown) = error, thrown == reasons, !reasons.isEmpty {
                report.refused += 1
            } else {
                report.failures.append("\(name): threw \(error) though its reasons are \(reasons)")
            }
            return
        }
        guard reasons.isEmpty else {
            report.failures.append("\(name): ran although it gives reasons \(reasons)")
            return
        }
        report.accepted += 1
        report.failures += form(of: result, prepared.problem, configured).map { "\(name): \($0)" }
        for excess in try prepared.tolerance(configured).errors(of: result) {
            if excess.ratio > report.worst.ratio { report.worst = (excess.ratio, "\(name) \(excess.operand)") }
            if !(excess.ratio <= 1) {
                report.failures.append(
                    "\(name): \(excess.operand) is off by \(excess.error), allowed \(excess.limit)")
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
