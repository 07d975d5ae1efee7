import TensorCore

/// Where a parameter lies in a checkpoint, when it is not simply a tensor of its shape.
struct StoredTensor: Sendable {
    /// The tensor's name in the files.
    let name: String
    /// Whether the files hold it with its two dimensions exchanged.
    var isTransposed = false
    /// Which of as many equal parts, along the outputs, the parameter is.
    var part: (index: Int, of: Int)?

    /// What stands before `.weight` in the name of a product's weight; `nil` for other tensors.
    var module: String? { name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : nil }

    init(_ name: String, isTransposed: Bool = false, part: (index: Int, of: Int)? = nil) {
        self.name = name
        self.isTransposed = isTransposed
        self.part = part
    }

    /// The parameter as a view of the stored tensor; the stored tensor itself when it has no such parts.
    func view(_ tensor: Tensor) -> Tensor {
        var result = tensor
        if isTransposed, let turned = try? tensor.permuted([1, 0]) { result = turned }
        guard let part else { return result }
        let rows = result.shape.dimensions.first ?? 0
        guard rows > 0, rows.isMultiple(of: part.of) else { return tensor }
        let count = rows / part.of
        return (try? result.sliced(0, part.index * count..<(part.index + 1) * count)) ?? tensor
    }

    /// The name, and what is done to the tensor.
    var description: String {
        let changes = (isTransposed ? ["transposed"] : []) + (part.map { ["part \($0.index + 1) of \($0.of)"] } ?? [])
        return changes.isEmpty ? name : "\(name) (\(changes.joined(separator: ", ")))"
    }
}
