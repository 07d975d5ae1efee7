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
    public static func prove(_ configured: ConfiguredOperator) -> GradientReport {
        var report = GradientReport()
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
    ) -> GradientReport {
        var report = GradientReport()
        for context in contexts {
            for gradientCase in cases {
                do {
                    try check(gradientCase, configured, context, &report)
                } catch {
                    report.failures.append("\(gradientCase.name) [\(context.isa)]: threw \(error)")
                }
            }
        }
        if configured.capabilities.hasGradients != (report.accepted > 0) {
            report.failures.append(
                "declares gradients: \(configured.capabilities.hasGradients), but derives \(report.accepted) cases")
        }
        return report
    }

    private static func check(
        _ gradientCase: GradientCase, _ configured: ConfiguredOperator, _ context: ComputeContext,
        _ report: inout GradientReport
    ) throws {
        let name = "\(gradientCase.name) [\(context.isa)]"
        let prepared = try gradientCase.prepared(for: configured)
        let reasons =
            configured.unsupportedReasons(for: prepared.problem)
            + configured.unsupportedGradientReasons(for: prepared.problem)
        let result: AttentionGradients
        do throws(AttentionError) {
            result = try configured.backward(
                prepared.inputs, gradient: prepared.gradient, options: prepared.options, context: context)
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
        report.failures += result.wrongForms(for: prepared.inputs).map { "\(name): \($0)" }
        let tolerance = try GradientTolerance(
            configured, prepared.inputs, gradient: prepared.gradient, options: prepared.options)
        for excess in tolerance.errors(of: result) { report.include(excess, name) }
    }
}
