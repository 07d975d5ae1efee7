/// What can be wrong with a use of a tensor.
public enum TensorError: Error, Sendable, Equatable {
    /// The number of elements does not fit the shape.
    case countMismatch(shape: Shape, expected: Int, actual: Int)
    /// The element type is another.
    case dtypeMismatch(expected: DType, actual: DType)
    /// The operation needs dense row-major elements.
    case notContiguous(shape: Shape, strides: [Int])
    /// A dimension does not exist.
    case axisOutOfRange(axis: Int, rank: Int)
    /// A range leaves its dimension.
    case rangeOutOfBounds(range: Range<Int>, axis: Int, extent: Int)
    /// The shape cannot be viewed, or broadcast, as the other.
    case shapeMismatch(from: Shape, to: Shape)
    /// The order of axes names one twice or leaves one out.
    case notAPermutation(axes: [Int], rank: Int)
}

extension TensorError: CustomStringConvertible {
    /// A sentence that names what was expected and what came.
    public var description: String {
        switch self {
        case .countMismatch(let shape, let expected, let actual):
            "shape \(shape) holds \(expected) elements, but \(actual) came"
        case .dtypeMismatch(let expected, let actual):
            "expected \(expected.rawValue) elements, but the tensor holds \(actual.rawValue)"
        case .notContiguous(let shape, let strides):
            "expected dense row-major elements, but shape \(shape) has strides \(strides); call contiguous() first"
        case .axisOutOfRange(let axis, let rank):
            "axis \(axis) does not exist in a tensor of \(rank) dimensions"
        case .rangeOutOfBounds(let range, let axis, let extent):
            "range \(range) leaves axis \(axis), whose extent is \(extent)"
        case .shapeMismatch(let from, let to):
            "shape \(from) cannot be viewed as \(to)"
        case .notAPermutation(let axes, let rank):
            "\(axes) is not an order of \(rank) axes"
        }
    }
}
