public import AttentionCore
import TensorCore

/// Reference gradients against differences of the reference itself, in Double.
///
/// The loss is `Σ w · output + Σ u · logSumExp` over the rows that see a key. Each element of each operand is moved by
/// ±h and ±2h; the quotient `(8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h` errs by O(h⁴).
public enum GradientDifferences {
    /// The largest difference allowed, as a part of the operand's largest derivative (or of 1 where that is larger).
    public static let limit = 1e-6
    /// How far operands in Double are moved: h⁴ and the rounding of Double over h are both near 1e-12.
    private static let step = 0x1p-10
    /// How far sinks are moved: they are Float, so a step that Float adds without rounding.
    private static let floatStep = Float(0x1p-7)

    /// Checks every operand of every case that the operator can derive.
    ///
    /// Cost: four references for each number in the operands.
    /// - Returns: cases that were checked, the largest error as a part of ``limit``, and what went wrong.
    public static func run(
        _ configured: ConfiguredOperator, cases: [GradientCase] = GradientCases.tiny
    ) -> ConformanceReport {
        var report = ConformanceReport()
        for gradientCase in cases {
            do {
                let prepared = try gradientCase.prepared(for: configured, dtype: .float64)
                let problem = prepared.problem.stored(as: .float32)
                let reasons =
                    configured.unsupportedReasons(for: problem) + configured.unsupportedGradientReasons(for: problem)
                guard reasons.isEmpty else {
                    report.refused += 1
                    continue
                }
                report.accepted += 1
                try check(prepared, configured, &report)
            } catch {
                report.failures.append("differences, \(gradientCase.name): threw \(error)")
            }
        }
        return report
    }

    private static func check(
        _ prepared: PreparedGradient, _ configured: ConfiguredOperator, _ report: inout ConformanceReport
    ) throws {
        let analytic = try configured.referenceGradients(
            prepared.inputs, gradient: prepared.gradient, options: prepared.options, precision: .double)
        func compare(_ name: String, _ ours: Tensor?, _ numeric: [Double]) {
            guard let ours = ours?.doubles(), ours.count == numeric.count else {
                report.failures.append("differences, \(prepared.name): no gradient of \(name) of its size")
                return
            }
            let size = numeric.reduce(1) { max($0, abs($1)) }
            let error = zip(ours, numeric).reduce(0) { worst, pair in
                let difference = abs(pair.0 - pair.1)
                return difference.isNaN ? .infinity : max(worst, difference)
            }
            report.include(
                .init(operand: "gradient of \(name)", error: error, limit: limit * size),
                "differences, \(prepared.name)")
        }
        let loss = Loss(configured: configured, prepared: prepared)
        let inputs = prepared.inputs
        compare("query", analytic.query, try loss.differences(inputs.query) { $0.query = $1 })
        compare("key", analytic.key, try loss.differences(inputs.key) { $0.key = $1 })
        compare("value", analytic.value, try loss.differences(inputs.value) { $0.value = $1 })
        if let bias = inputs.bias { compare("bias", analytic.bias, try loss.differences(bias) { $0.bias = $1 }) }
        for (name, tensor) in inputs.parameters.sorted(by: { $0.key < $1.key }) {
            compare(
                "parameter \(name)", analytic.parameters[name],
                try loss.differences(tensor) { $0.parameters[name] = $1 })
        }
        if let sinks = inputs.sinks {
            compare(
                "sinks", analytic.sinks,
                try sinks.indices.map { head in
                    try quotient(Double(floatStep)) { factor in
                        try loss.value { $0.sinks?[head] += Float(factor) * floatStep }
                    }
                })
        }
    }

    /// The derivative from four values of the loss, at -2, -1, 1 and 2 steps.
    private static func quotient(_ step: Double, _ value: (Double) throws -> Double) throws -> Double {
        let near = try value(1) - value(-1)
        let far = try value(2) - value(-2)
        return (8 * near - far) / (12 * step)
    }

    /// The scalar that is derived.
    private struct Loss {
        let configured: ConfiguredOperator
        let prepared: PreparedGradient

        /// After a change of the operands.
        func value(_ change: (inout AttentionInputs) -> Void) throws -> Double {
            var inputs = prepared.inputs
            change(&inputs)
            let result = try configured.reference(inputs, options: prepared.options, precision: .double)
            var sum = zip(result.output.doubles(), prepared.gradient.output.doubles()).reduce(0) { $0 + $1.0 * $1.1 }
            if let weights = prepared.gradient.logSumExp, let rows = result.logSumExp {
                for (row, weight) in zip(rows.doubles(), weights.doubles()) where row > -.infinity {
                    sum += row * weight
                }
            }
            return sum
        }

        func differences(_ tensor: Tensor, _ replace: (inout AttentionInputs, Tensor) -> Void) throws -> [Double] {
            let numbers = tensor.doubles()
            return try numbers.indices.map { index in
                try quotient(step) { factor in
                    var moved = numbers
                    moved[index] += factor * step
                    let replacement = try Tensor(moved, shape: tensor.shape)
                    return try value { replace(&$0, replacement) }
                }
            }
        }
    }
}
