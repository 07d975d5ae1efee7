import AttentionCore
import CZooPlugin
import TensorCore

/// The operands of one call as C reads them; keeps what they point to alive.
final class PluginOperands {
    let pointer: UnsafePointer<zoo_inputs>
    private let arena = PluginArena()
    /// Tensors made for the call, and those of the caller: C holds addresses of both.
    private let kept: [Tensor]

    /// Cost: O(1), unless the bias is not F32 or the mask is no band; then a copy of it is made.
    init(
        _ inputs: AttentionInputs, problem: AttentionProblem, parameters names: [String], needsDenseMask: Bool
    ) throws(AttentionError) {
        let scores = Shape([problem.batch, problem.heads, problem.queryLength, problem.keyLength])
        var kept = [inputs.query, inputs.key, inputs.value]
        var result = zoo_inputs()
        result.struct_size = UInt32(MemoryLayout<zoo_inputs>.size)
        result.query = inputs.query.readable
        result.key = inputs.key.readable
        result.value = inputs.value.readable
        if let bias = inputs.bias {
            let floats = bias.dtype == .float32 ? bias : bias.converted(to: .float32)
            let wide = try Self.broadcast(floats, scores, operand: "bias")
            kept.append(wide)
            result.bias = arena.copy(wide.readable)
        }
        var mask: Tensor?
        if let given = inputs.mask { mask = try Self.broadcast(given, scores, operand: "mask") }
        if needsDenseMask { mask = try Self.materialised(problem, and: mask) }
        if let mask {
            kept.append(mask)
            result.mask = arena.copy(mask.readable)
        }
        if let slopes = inputs.alibiSlopes { result.alibi_slopes = arena.copy(slopes) }
        if let sinks = inputs.sinks { result.sinks = arena.copy(sinks) }
        let parameters = names.compactMap { inputs.parameters[$0]?.converted(to: .float32).contiguous() }
        kept += parameters
        result.parameter_count = UInt32(parameters.count)
        result.parameters = arena.copy(parameters.map(\.readable))
        self.kept = kept
        pointer = arena.copy(result)
    }

    private static func broadcast(
        _ tensor: Tensor, _ shape: Shape, operand: String
    ) throws(AttentionError) -> Tensor {
        do throws(TensorError) {
            return try tensor.broadcast(to: shape)
        } catch {
            throw .tensor(operand: operand, reason: error.description)
        }
    }

    /// The problem's mask and the given one as bytes, one plane for all heads where they agree.
    private static func materialised(
        _ problem: AttentionProblem, and given: Tensor?
    ) throws(AttentionError) -> Tensor {
        let mask = problem.options.mask
        let planes = given != nil || mask.dependsOnHead ? problem.heads : min(1, problem.heads)
        let (rows, columns) = (problem.queryLength, problem.keyLength)
        let result = Tensor(zeros: [problem.batch, planes, rows, columns], dtype: .uint8)
        let target = result.freshMutableAddress.assumingMemoryBound(to: UInt8.self)
        for batch in 0..<problem.batch {
            for head in 0..<planes {
                let geometry = problem.geometry(batch, head: head)
                let plane = target + (batch * planes + head) * rows * columns
                for query in 0..<geometry.queryLength {
                    for key in 0..<geometry.keyLength {
                        var isVisible = mask.allows(query: query, key: key, geometry)
                        if let given, isVisible {
                            let place =
                                batch * given.strides[0] + head * given.strides[1] + query * given.strides[2]
                                + key * given.strides[3]
                            isVisible = given.baseAddress.load(fromByteOffset: place, as: UInt8.self) != 0
                        }
                        plane[query * columns + key] = isVisible ? 1 : 0
                    }
                }
            }
        }
        let scores = Shape([problem.batch, problem.heads, rows, columns])
        return try broadcast(result, scores, operand: "mask")
    }
}
