public import AttentionCore
import CZooPlugin
public import Kernels
import TensorCore

extension PluginOperator {
    /// No gradients where the library has no `backward`.
    public func unsupportedGradientReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        guard functions.backward == nil else { return [] }
        return [.init(.gradients, "do not exist", remedy: "choose an operator that has them")]
    }

    /// Calls the library, then looks at the zones around what it wrote.
    /// - Throws: ``AttentionCore/AttentionError/operatorFailed(name:message:)`` with the library's words, or when it wrote
    ///   outside of its gradients.
    public func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        guard let function = functions.backward else {
            throw .unsupported(
                name: description.name, problem: plan.problem.description,
                reasons: unsupportedGradientReasons(for: plan.problem))
        }
        return try derive(function, "backward", inputs, (output, gradient), plan.problem, context)
    }

    /// The library's `reference_backward` where it has one, else the gradients of softmax attention over the problem's mask
    /// and the pattern.
    /// - Throws: ``AttentionCore/AttentionError`` when the operands do not fit each other.
    public func referenceGradients(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients {
        guard let function = functions.reference_backward else {
            return try DenseReference.backward(
                inputs, gradient: gradient, options: dense(inputs, options), precision: precision)
        }
        let output = try reference(inputs, options: options, precision: precision)
        let converted = converted(inputs, to: precision)
        let problem = try AttentionProblem(converted, options: options)
        return try derive(
            function, "reference_backward", converted, (output, gradient), problem, AttentionError.context(nil))
    }

    private typealias Derivation =
        @convention(c) (
            UnsafeRawPointer?, UnsafePointer<zoo_host>?, UnsafePointer<zoo_problem>?, UnsafePointer<zoo_inputs>?,
            UnsafePointer<zoo_output_gradient>?, UnsafePointer<zoo_gradients>?
        ) -> Int32

    private func derive(
        _ function: Derivation, _ title: String, _ inputs: AttentionInputs,
        _ results: (output: AttentionOutput, gradient: OutputGradient), _ problem: AttentionProblem,
        _ context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        guard results.gradient.logSumExp == nil || capabilities.features.contains(.logSumExp) else {
            throw .unsupported(
                name: description.name, problem: problem.description,
                reasons: [.init(.logSumExp, "is not computed", remedy: "leave its gradient out")])
        }
        let seen = PluginProblem(problem)
        let declared = parameters(for: problem)
        let operands = try PluginOperands(
            inputs, problem: problem, parameters: declared.map(\.name), needsDenseMask: seen.needsDenseMask)
        let upstream = PluginUpstream(results.gradient, output: results.output, dtype: problem.dtype)
        let written = PluginGradients(inputs, parameters: declared)
        let host = PluginHost(context)
        let status = withExtendedLifetime((self, seen, operands, upstream, written)) {
            host.call { table in
                function(statePointer, table, seen.pointer, operands.pointer, upstream.pointer, written.pointer)
            }
        }
        try check(status, host, title, written.written)
        return try written.gradients(inputs, parameters: declared)
    }
}

/// What a loss says, as C reads it; keeps what it points to alive.
private final class PluginUpstream {
    let pointer: UnsafePointer<zoo_output_gradient>
    private let arena = PluginArena()
    private let kept: [Tensor]

    init(_ gradient: OutputGradient, output: AttentionOutput, dtype: DType) {
        let outputGradient = gradient.output.converted(to: dtype).contiguous()
        let result = output.output.contiguous()
        let rowGradient = gradient.logSumExp?.converted(to: .float32).contiguous()
        let rows = output.logSumExp?.converted(to: .float32).contiguous()
        kept = [outputGradient, result] + [rowGradient, rows].compactMap { $0 }
        var table = zoo_output_gradient()
        table.struct_size = UInt32(MemoryLayout<zoo_output_gradient>.size)
        table.output = outputGradient.readable
        table.result = result.readable
        table.log_sum_exp = rowGradient?.baseAddress.assumingMemoryBound(to: Float.self)
        table.result_log_sum_exp = rows?.baseAddress.assumingMemoryBound(to: Float.self)
        pointer = arena.copy(table)
    }
}

/// Where a library writes derivatives.
private final class PluginGradients {
    let pointer: UnsafePointer<zoo_gradients>
    private let arena = PluginArena()
    /// Query, key, value, then bias and sinks where they exist, then parameters.
    private(set) var written: [(name: String, tensor: GuardedTensor)]

    init(_ inputs: AttentionInputs, parameters: [OperatorParameter]) {
        let operands = [
            ("query_gradient", inputs.query), ("key_gradient", inputs.key), ("value_gradient", inputs.value),
        ]
        written = operands.map { ($0, GuardedTensor($1.shape, dtype: $1.dtype)) }
        var table = zoo_gradients()
        table.struct_size = UInt32(MemoryLayout<zoo_gradients>.size)
        table.query = written[0].tensor.tensor.writable
        table.key = written[1].tensor.tensor.writable
        table.value = written[2].tensor.tensor.writable
        if let bias = inputs.bias {
            let extents = Array(repeating: 1, count: 4 - bias.shape.rank) + bias.shape.dimensions
            let made = GuardedTensor(Shape(extents), dtype: .float32)
            written.append(("bias_gradient", made))
            table.bias = arena.copy(made.tensor.writable)
        }
        if let sinks = inputs.sinks {
            let made = GuardedTensor([sinks.count], dtype: .float32)
            written.append(("sinks_gradient", made))
            table.sinks = made.tensor.freshMutableAddress.assumingMemoryBound(to: Float.self)
        }
        let own = parameters.map { ("gradient of parameter '\($0.name)'", GuardedTensor($0.shape, dtype: .float32)) }
        written += own
        table.parameter_count = UInt32(own.count)
        table.parameters = arena.copy(own.map { $0.1.tensor.writable })
        pointer = arena.copy(table)
    }

    /// The derivatives in the operands' shapes and element types.
    func gradients(
        _ inputs: AttentionInputs, parameters: [OperatorParameter]
    ) throws(AttentionError) -> AttentionGradients {
        var result = AttentionGradients(
            query: written[0].tensor.tensor, key: written[1].tensor.tensor, value: written[2].tensor.tensor)
        var next = 3
        if let bias = inputs.bias {
            do throws(TensorError) {
                result.bias = try written[next].tensor.tensor.reshaped(bias.shape).converted(to: bias.dtype)
            } catch {
                throw .tensor(operand: "bias_gradient", reason: error.description)
            }
            next += 1
        }
        if inputs.sinks != nil {
            result.sinks = written[next].tensor.tensor
            next += 1
        }
        for (parameter, item) in zip(parameters, written[next...]) {
            result.parameters[parameter.name] = item.tensor.tensor
        }
        return result
    }
}
