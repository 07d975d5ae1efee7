public import AttentionCore
public import Kernels
import Synchronization
import TensorCore

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
                try check(attentionCase, configured, contexts, &report)
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

    /// One case on every context; they share its references.
    private static func check(
        _ attentionCase: AttentionCase, _ configured: ConfiguredOperator, _ contexts: [ComputeContext],
        _ report: inout ConformanceReport
    ) throws {
        let plain = attentionCase.inputs()
        let options = try attentionCase.options()
        let problem = try AttentionProblem(plain, options: options)
        let reasons = configured.unsupportedReasons(for: problem)
        let inputs =
            reasons.isEmpty
            ? try configured.initialising(plain, options: options, seed: attentionCase.seeds.query).inputs : plain
        var results: [(name: String, output: AttentionOutput)] = []
        for context in contexts {
            let name = "\(attentionCase.name) [\(context.isa)]"
            let output = report.outcome(name, announced: reasons) { () throws(AttentionError) in
                try configured.forward(inputs, options: options, context: context)
            }
            if let output { results.append((name, output)) }
        }
        guard !results.isEmpty else { return }
        let tolerance =
            configured.isPlain(for: problem)
            ? try plainTolerance(attentionCase, inputs, options)
            : try Tolerance(configured, inputs, options: options)
        for result in results {
            report.accepted += 1
            report.failures += form(of: result.output, problem, configured).map { "\(result.name): \($0)" }
            for excess in tolerance.errors(of: result.output) { report.include(excess, result.name) }
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
