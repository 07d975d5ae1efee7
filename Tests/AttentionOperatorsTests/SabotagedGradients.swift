import AttentionCore
import Foundation
import Kernels
import Synchronization
import TensorCore

/// Gradients written plainly, cell by cell and apart from kernels and reference, with one planted mistake or none.
///
/// Forward is the Float reference. Without a mistake it passes everything.
struct SabotagedGradients: AttentionOperator {
    struct Configuration: OperatorConfiguration {
        var fault = GradientFault.none
        static var options: [OptionDescription] { [OptionDescription("fault", "the planted mistake", default: "none")] }
    }

    static let capabilities = AttentionCapabilities(
        dtypes: [.float32, .float16, .bfloat16], headDims: 1...4096,
        features: Set(AttentionFeature.allCases).subtracting([.dtype, .headDim, .configuration]),
        exactness: .exact, workingMemory: "O(1)", arithmetic: "O(L^2)", hasGradients: true)

    let configuration: Configuration
    private static let calls = Atomic<Int>(0)
    private static let derivations = Atomic<Int>(0)

    init(_ configuration: Configuration) { self.configuration = configuration }

    func unsupportedGradientReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        let count = Self.calls.add(1, ordering: .relaxed).newValue
        switch configuration.fault {
        case .claimsNothing: return [.init(.gradients, "are forgotten")]
        // The reasons that `backward` throws are never those that were announced.
        case .throwsOtherReasons where problem.queryLength == 17: return [.init(.gradients, "call \(count)")]
        default: break
        }
        guard problem.options.scoreFunction.map({ $0.derivative == nil }) ?? false else { return [] }
        return [.init(.scoreFunction, "has no derivative", remedy: "give it one")]
    }

    func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        AttentionPlan(
            problem: problem, queryTile: 1, keyTile: 1, tasks: 1, workspaceBytes: 0, isa: context.isa,
            threads: context.threads)
    }

    func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        let result = try DenseReference.forward(inputs, options: plan.problem.options, precision: .float)
        return AttentionOutput(output: result.output.converted(to: plan.problem.dtype), logSumExp: result.logSumExp)
    }

    func referenceGradients(
        _ inputs: AttentionInputs, gradient: OutputGradient, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionGradients {
        var result = try DenseReference.backward(inputs, gradient: gradient, options: options, precision: precision)
        if configuration.fault == .referenceScaled { result.key = Self.scaled(result.key, by: 1.00001) }
        if configuration.fault == .referenceForgetsSinks { result.sinks = result.sinks.map { Self.scaled($0, by: 0) } }
        return result
    }

    func backward(
        _ inputs: AttentionInputs, output: AttentionOutput, gradient: OutputGradient, plan: AttentionPlan,
        context: ComputeContext
    ) throws(AttentionError) -> AttentionGradients {
        let problem = plan.problem
        let fault = configuration.fault
        var computation = try SabotagedGradientComputation(problem, inputs, gradient, fault)
        computation.run()
        do throws(TensorError) {
            var result = AttentionGradients(
                query: try Tensor(computation.query, shape: inputs.query.shape).converted(to: problem.dtype),
                key: try Tensor(computation.key, shape: inputs.key.shape).converted(to: problem.dtype),
                value: try Tensor(computation.value, shape: inputs.value.shape).converted(to: problem.dtype))
            if let bias = inputs.bias, fault != .gradientMissing {
                result.bias = try Tensor(computation.bias, shape: bias.shape).converted(to: bias.dtype)
            }
            if inputs.sinks != nil {
                result.sinks = try Tensor(computation.sinks, shape: [problem.heads]).converted(to: .float32)
            }
            disturb(&result, inputs, context)
            if fault == .gradientOfAnotherShape { result.value = try result.value.reshaped([result.value.count]) }
            return result
        } catch {
            throw .tensor(operand: "gradients", reason: error.description)
        }
    }

    /// Mistakes that show in the last bits or in the form alone.
    private func disturb(_ result: inout AttentionGradients, _ inputs: AttentionInputs, _ context: ComputeContext) {
        let small = 1 + 0x1p-23
        switch configuration.fault {
        case .threadsChangeBits where context.threads > 2: result.key = Self.scaled(result.key, by: small)
        case .repeatsDiffer where Self.derivations.add(1, ordering: .relaxed).newValue % 2 == 0:
            result.key = Self.scaled(result.key, by: small)
        case .stridesChangeBits where !inputs.key.isContiguous: result.key = Self.scaled(result.key, by: small)
        case .gradientInDouble: result.query = result.query.converted(to: .float64)
        default: break
        }
    }

    private static func scaled(_ tensor: Tensor, by factor: Double) -> Tensor {
        let numbers = tensor.doubles().map { $0 * factor }
        return ((try? Tensor(numbers, shape: tensor.shape)) ?? tensor).converted(to: tensor.dtype)
    }
}
