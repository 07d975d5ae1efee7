import AttentionCore
import TensorCore

/// The tensors that an attention layer's operator owns.
///
/// Loaded ones have the extents of the longest sequence that the model takes, and a shorter sequence uses their
/// beginnings along each axis. Those that no checkpoint holds are made for each length anew, from the operator's own rule
/// and a seed that follows from the layer's place: averages of segments must be segments of the sequence at hand.
struct OwnedParameters: Sendable {
    /// What the weights held, by the operator's own names, F32.
    let loaded: [String: Tensor]
    /// Of those that begin at random.
    let seed: UInt64

    /// The operands with everything that the operator owns.
    ///
    /// Cost: O(size of the parameters), and nothing for an operator without any.
    func adding(
        to inputs: AttentionInputs, for configured: ConfiguredOperator, options: AttentionOptions
    ) throws(AttentionError) -> AttentionInputs {
        let problem = try AttentionProblem(inputs, options: options)
        let declared = configured.parameters(for: problem)
        guard !declared.isEmpty else { return inputs }
        var result = inputs
        for parameter in declared {
            guard let tensor = loaded[parameter.name] else { continue }
            result.parameters[parameter.name] = try Self.cut(tensor, to: parameter)
        }
        return try configured.initialising(result, options: options, seed: options.seed ^ seed).inputs
    }

    private static func cut(_ tensor: Tensor, to parameter: OperatorParameter) throws(AttentionError) -> Tensor {
        guard tensor.shape != parameter.shape else { return tensor }
        guard tensor.shape.rank == parameter.shape.rank,
            zip(tensor.shape.dimensions, parameter.shape.dimensions).allSatisfy({ $0 >= $1 })
        else {
            throw .invalidShape(
                operand: "parameter '\(parameter.name)'", expected: "at least \(parameter.shape)", actual: tensor.shape)
        }
        do throws(TensorError) {
            var result = tensor
            for axis in 0..<tensor.shape.rank {
                result = try result.sliced(axis, 0..<parameter.shape[axis])
            }
            return result.contiguous()
        } catch {
            throw .tensor(operand: "parameter '\(parameter.name)'", reason: error.description)
        }
    }
}

extension String {
    /// FNV-1a: the same for the same text on every machine.
    var stableHash: UInt64 {
        utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
