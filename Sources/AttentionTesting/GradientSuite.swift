public import AttentionCore
public import Kernels
import TensorCore

/// Proves the gradients of an operator, or that it refuses them.
///
///     #expect(GradientSuite.prove(try OperatorRegistry.builtIn["flash"]).isPassing)
///
/// Three kinds of checks: ``GradientDifferences`` of the reference, ``compare(_:contexts:cases:)`` of the operator with its
/// reference, and the laws of ``GradientLaws``.
public enum GradientSuite {
    /// Everything, on every instruction set of this CPU.
    ///
    /// Cost: seconds. An operator without gradients passes when it refuses every case with its reasons and its
    /// capabilities say so.
    public static func prove(_ configured: ConfiguredOperator) -> ConformanceReport {
        var report = ConformanceReport()
        do {
            let contexts = try ComputeContext.availableISAs.map { try ComputeContext(threads: 2, isa: $0) }
            report.add(compare(configured, contexts: contexts))
            guard configured.capabilities.hasGradients else { return report }
            report.add(GradientDifferences.run(configured))
            for context in contexts { report.add(GradientLaws(configured, context: context).run()) }
        } catch {
            report.failures.append("\(error)")
        }
        return report
    }

    /// Compares `backward` with the reference's gradients on every case and context: where the operator gives no reason
    /// the errors must be within their limits, else exactly its reasons must be thrown.
    ///
    /// An operator that declares gradients must accept some case, and one that declares none must accept none.
    public static func compare(
        _ configured: ConfiguredOperator, contexts: [ComputeContext], cases: [GradientCase] = GradientCases.standard
    ) -> ConformanceReport {
        var report = ConformanceReport()
        for gradientCase in cases {
            do {
                try check(gradientCase, configured, contexts, &report)
            } catch {
                report.failures.append("\(gradientCase.name): threw \(error)")
            }
        }
        if configured.capabilities.hasGradients != (report.accepted > 0) {
            report.failures.append(
                "declares gradients: \(configured.capabilities.hasGradients), but derives \(report.accepted) cases")
        }
        return report
    }

    /// One case on every context; they share its references.
    private static func check(
        _ gradientCase: GradientCase, _ configured: ConfiguredOperator, _ contexts: [ComputeContext],
        _ report: inout ConformanceReport
    ) throws {
        let prepared = try gradientCase.prepared(for: configured)
        let reasons =
            configured.unsupportedReasons(for: prepared.problem)
            + configured.unsupportedGradientReasons(for: prepared.problem)
        var results: [(name: String, gradients: AttentionGradients)] = []
        for context in contexts {
            let name = "\(gradientCase.name) [\(context.isa)]"
            let gradients = report.outcome(name, announced: reasons) { () throws(AttentionError) in
                try configured.backward(
                    prepared.inputs, gradient: prepared.gradient, options: prepared.options, context: context)
            }
            if let gradients { results.append((name, gradients)) }
        }
        guard !results.isEmpty else { return }
        let tolerance = try GradientTolerance(
            configured, prepared.inputs, gradient: prepared.gradient, options: prepared.options)
        for result in results {
            report.accepted += 1
            report.failures += result.gradients.wrongForms(for: prepared.inputs).map { "\(result.name): \($0)" }
            for excess in tolerance.errors(of: result.gradients) { report.include(excess, result.name) }
        }
    }
}
