public import AttentionCore
import CZooPlugin
public import Kernels
import TensorCore

extension PluginOperator {
    typealias Computation =
        @convention(c) (
            UnsafeRawPointer?, UnsafePointer<zoo_host>?, UnsafePointer<zoo_problem>?, UnsafePointer<zoo_inputs>?,
            UnsafePointer<zoo_outputs>?
        ) -> Int32

    /// Calls the library, then looks at the zones around what it wrote.
    ///
    /// Operands are handed over as they are; the contract forbids the library to write them.
    /// - Throws: ``AttentionCore/AttentionError/operatorFailed(name:message:)`` with the library's words, or when it wrote
    ///   outside of its outputs.
    public func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        guard let function = functions.forward else { throw failure("it has no forward function") }
        return try compute(function, "forward", inputs, plan.problem, context)
    }

    /// The library's `reference` where it has one, else softmax attention over the problem's mask and the pattern.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func reference(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        guard let function = functions.reference else {
            return try DenseReference.forward(inputs, options: dense(inputs, options), precision: precision)
        }
        let converted = converted(inputs, to: precision)
        let problem = try AttentionProblem(converted, options: options)
        return try compute(function, "reference", converted, problem, AttentionError.context(nil))
    }

    /// Operands in the element type of a reference.
    func converted(_ inputs: AttentionInputs, to precision: ReferencePrecision) -> AttentionInputs {
        let dtype: DType = precision == .float ? .float32 : .float64
        var result = inputs
        result.query = inputs.query.converted(to: dtype).contiguous()
        result.key = inputs.key.converted(to: dtype).contiguous()
        result.value = inputs.value.converted(to: dtype).contiguous()
        return result
    }

    /// Options whose mask is the problem's and the library's own pattern.
    func dense(
        _ inputs: AttentionInputs, _ options: AttentionOptions
    ) throws(AttentionError) -> AttentionOptions {
        var result = options
        let pattern = pattern(for: try AttentionProblem(inputs, options: options))
        if pattern != .full { result.mask = .and([options.mask, pattern]) }
        return result
    }

    private func compute(
        _ function: Computation, _ title: String, _ inputs: AttentionInputs, _ problem: AttentionProblem,
        _ context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let seen = PluginProblem(problem)
        let operands = try PluginOperands(
            inputs, problem: problem, parameters: parameters(for: problem).map(\.name),
            needsDenseMask: seen.needsDenseMask)
        let output = GuardedTensor(
            [problem.batch, problem.queryLength, problem.heads, problem.valueDim], dtype: problem.dtype)
        var logSumExp: GuardedTensor?
        var results = zoo_outputs()
        results.struct_size = UInt32(MemoryLayout<zoo_outputs>.size)
        results.output = output.tensor.writable
        if capabilities.features.contains(.logSumExp) {
            let made = GuardedTensor([problem.batch, problem.heads, problem.queryLength], dtype: .float32)
            let start = made.tensor.freshMutableAddress.assumingMemoryBound(to: Float.self)
            start.update(repeating: -.infinity, count: made.tensor.count)
            results.log_sum_exp = start
            logSumExp = made
        }
        let host = PluginHost(context)
        let status = withExtendedLifetime((self, seen, operands, output, logSumExp)) {
            host.call { table in
                withUnsafePointer(to: results) { results in
                    function(statePointer, table, seen.pointer, operands.pointer, results)
                }
            }
        }
        try check(
            status, host, title, [("output", output)] + (logSumExp.map { [("log_sum_exp", $0)] } ?? []))
        return AttentionOutput(output: output.tensor, logSumExp: logSumExp?.tensor)
    }

    /// Turns a status and damaged zones into errors.
    func check(
        _ status: Int32, _ host: PluginHost, _ title: String, _ written: [(name: String, tensor: GuardedTensor)]
    ) throws(AttentionError) {
        for (name, tensor) in written {
            if let place = tensor.trespass {
                throw failure("its \(title) function wrote outside of \(name), at \(place); its results are not used")
            }
        }
        guard status == 0 else {
            throw failure(host.message.isEmpty ? "its \(title) function returned status \(status)" : host.message)
        }
    }

    func failure(_ message: String) -> AttentionError {
        .operatorFailed(name: description.name, message: message)
    }
}
