public import AttentionCore
package import TensorCore

/// One attention problem with a loss: `Σ w · output + Σ u · logSumExp`, the weights made from a seed.
public struct GradientCase: Sendable {
    /// Shapes, seeds and common options.
    public var attention: AttentionCase
    /// Options that a configuration cannot spell, such as functions; the case's own when absent.
    public var options: AttentionOptions?
    /// Whether the loss depends on the log-sum-exp.
    public var usesLogSumExp: Bool

    /// A case.
    public init(_ attention: AttentionCase, options: AttentionOptions? = nil, usesLogSumExp: Bool = false) {
        self.attention = attention
        self.options = options
        self.usesLogSumExp = usesLogSumExp
    }

    /// What reports call the case.
    public var name: String { attention.name + (usesLogSumExp ? ", log-sum-exp" : "") }

    /// The options in force.
    /// - Throws: ``AttentionCore/AttentionError`` when the configuration is not understood.
    public func resolvedOptions() throws(AttentionError) -> AttentionOptions {
        if let options { return options }
        return try attention.options()
    }

    /// The weights of the loss, of the operands' type.
    ///
    /// Rows that see no key have no log-sum-exp to speak of; their weights are there all the same, and must not matter.
    public func gradient() -> OutputGradient {
        let shape = attention
        return OutputGradient(
            output: .random(
                uniform: [shape.batch, shape.queryLength, shape.heads, shape.valueDim],
                seed: shape.seeds.query &+ 11, dtype: shape.dtype),
            logSumExp: usesLogSumExp
                ? .random(uniform: [shape.batch, shape.heads, shape.queryLength], seed: shape.seeds.query &+ 12) : nil)
    }

    /// The case as an operator can take it: one that insists on a window gets one that hides nothing, and one that owns
    /// tensors gets them.
    /// - Throws: ``AttentionCore/AttentionError`` when the case makes no sense.
    package func prepared(
        for configured: ConfiguredOperator, dtype: DType? = nil
    ) throws(AttentionError) -> PreparedGradient {
        var attention = attention
        if let dtype { attention.dtype = dtype }
        var options = try resolvedOptions()
        if GradientCase.insistsOnWindow(configured) {
            let wide = AttentionMask.window(left: 1 << 20, right: 1 << 20)
            options.mask = options.mask == .full ? wide : .and([options.mask, wide])
        }
        var inputs = attention.inputs()
        if let dtype { inputs.bias = inputs.bias?.converted(to: dtype) }
        // Parameters that begin as zeros or ones would hide mistakes: every one is disturbed a little.
        let problem = try AttentionProblem(inputs, options: options)
        if configured.unsupportedReasons(for: problem.stored(as: .float32)).isEmpty {
            inputs = try configured.initialising(inputs, options: options, seed: attention.seeds.query).inputs
            for (name, tensor) in inputs.parameters {
                inputs.parameters[name] = GradientCase.disturbed(tensor, seed: attention.seeds.key, dtype: dtype)
            }
        }
        var weights = gradient()
        if !configured.capabilities.features.contains(.logSumExp) { weights.logSumExp = nil }
        if let dtype {
            weights.output = weights.output.converted(to: dtype)
            weights.logSumExp = weights.logSumExp?.converted(to: dtype)
        }
        return PreparedGradient(name: name, inputs: inputs, options: options, gradient: weights, problem: problem)
    }

    private static func insistsOnWindow(_ configured: ConfiguredOperator) -> Bool {
        let plain = AttentionProblem(queryLength: 8, heads: 1, headDim: 8)
        return configured.unsupportedReasons(for: plain).contains { $0.aspect == .window }
    }

    private static func disturbed(_ tensor: Tensor, seed: UInt64, dtype: DType?) -> Tensor {
        let noise = Tensor.random(uniform: tensor.shape, seed: seed, amplitude: 0.1).doubles()
        let moved = zip(tensor.doubles(), noise).map { $0 + $1 }
        return ((try? Tensor(moved, shape: tensor.shape)) ?? tensor).converted(to: dtype ?? tensor.dtype)
    }
}

/// A case in the form that one operator takes.
package struct PreparedGradient: Sendable {
    package let name: String
    package var inputs: AttentionInputs
    package var options: AttentionOptions
    package var gradient: OutputGradient
    package let problem: AttentionProblem
}

extension AttentionProblem {
    /// The same problem with operands of another type.
    func stored(as dtype: DType) -> AttentionProblem {
        var result = self
        result.dtype = dtype
        return result
    }
}

extension AttentionGradients {
    /// What is wrong before any number is looked at.
    ///
    /// Each gradient has the shape of its operand, and those of query, key, value and bias its element type.
    func wrongForms(for inputs: AttentionInputs) -> [String] {
        var failures: [String] = []
        func expect(_ name: String, _ tensor: Tensor?, _ shape: Shape, _ dtype: DType) {
            guard let tensor else { return }
            if tensor.shape != shape || tensor.dtype != dtype {
                failures.append(
                    "the gradient of \(name) is \(tensor.dtype.rawValue) \(tensor.shape); expected \(dtype.rawValue) "
                        + "\(shape)")
            }
        }
        expect("query", query, inputs.query.shape, inputs.query.dtype)
        expect("key", key, inputs.key.shape, inputs.key.dtype)
        expect("value", value, inputs.value.shape, inputs.value.dtype)
        if let given = inputs.bias { expect("bias", bias, given.shape, given.dtype) }
        if let given = inputs.sinks { expect("sinks", sinks, [given.count], .float32) }
        for (name, parameter) in inputs.parameters {
            expect("parameter \(name)", parameters[name], parameter.shape, .float32)
        }
        return failures
    }
}
