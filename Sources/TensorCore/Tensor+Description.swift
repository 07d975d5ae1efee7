extension Tensor: CustomStringConvertible {
    /// Element type, shape, and the first and last numbers: `F32 [2, 3]: 0.5, 1.0, ..., 2.0`.
    public var description: String {
        let edge = 3
        let text: [String]
        if count <= 2 * edge {
            text = doubles().map { "\($0)" }
        } else {
            // A view of both ends, so that a description of a large tensor converts six numbers.
            let flat = (try? reshaped([count])) ?? self
            let first = (try? flat.sliced(0, 0..<edge))?.doubles() ?? []
            let last = (try? flat.sliced(0, count - edge..<count))?.doubles() ?? []
            text = first.map { "\($0)" } + ["..."] + last.map { "\($0)" }
        }
        return "\(dtype.rawValue) \(shape): \(text.joined(separator: ", "))"
    }
}
