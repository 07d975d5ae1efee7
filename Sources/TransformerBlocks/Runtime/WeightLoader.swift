import AttentionCore
import TensorCore

/// Takes every parameter of a model from a source, or says everything that is wrong.
enum WeightLoader {
    /// Element types that products and tables can be made of.
    private static let dtypes: [DType] = [.float32, .float16, .bfloat16]

    /// The tensors by parameter name; without those of attention operators that the source does not hold, and without
    /// weights in few bits, which are read when their layer is built: all of them at once would not be small.
    /// - Throws: ``ModelError/weights(origin:_:)`` with every tensor that is missing or has another shape or type.
    static func load(
        _ parameters: [ParameterDescription], from source: any WeightSource
    ) throws(ModelError) -> [String: Tensor] {
        var tensors: [String: Tensor] = [:]
        // A name that another parameter has is no misspelling of this one.
        let spare = Set(source.names).subtracting(parameters.map(source.name(of:)))
        var mismatches: [WeightMismatch] = []
        for parameter in parameters {
            let name = source.name(of: parameter)
            let expected = "\(parameter.shape) " + dtypes.map(\.rawValue).joined(separator: ", ")
            if parameter.role == .matrix, source.isQuantized(parameter) { continue }
            guard let tensor = source.tensor(for: parameter) else {
                if parameter.role == .attention { continue }
                let near = NearestName.suggestions(for: name, among: Array(spare))
                let hint = near.isEmpty ? "" : "; near to it: \(near.joined(separator: ", "))"
                mismatches.append(WeightMismatch(tensor: name, expected: expected + hint, actual: "missing"))
                continue
            }
            guard tensor.shape == parameter.shape, dtypes.contains(tensor.dtype) else {
                mismatches.append(
                    WeightMismatch(tensor: name, expected: expected, actual: "\(tensor.shape) \(tensor.dtype.rawValue)")
                )
                continue
            }
            tensors[parameter.name] = tensor
        }
        guard mismatches.isEmpty else { throw .weights(origin: source.origin, mismatches) }
        return tensors
    }
}
