/// The extents of a tensor, outermost first.
public struct Shape: Sendable, Hashable, Codable, ExpressibleByArrayLiteral, CustomStringConvertible {
    /// One extent per dimension; never negative.
    public let dimensions: [Int]

    /// A shape of the given extents.
    /// - Precondition: no extent is negative; files and users are checked before they get here.
    public init(_ dimensions: [Int]) {
        precondition(dimensions.allSatisfy { $0 >= 0 }, "negative extent in \(dimensions)")
        self.dimensions = dimensions
    }

    /// A shape written as an array literal.
    public init(arrayLiteral elements: Int...) { self.init(elements) }

    /// Decodes a plain array of integers.
    /// - Throws: `DecodingError` when an extent is negative.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let values = try container.decode([Int].self)
        guard values.allSatisfy({ $0 >= 0 }) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "negative extent in \(values)")
        }
        dimensions = values
    }

    /// Encodes a plain array of integers.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(dimensions)
    }

    /// The number of dimensions.
    public var rank: Int { dimensions.count }

    /// The number of elements.
    public var count: Int { dimensions.reduce(1, *) }

    /// The extent of one dimension.
    public subscript(axis: Int) -> Int { dimensions[axis] }

    /// Strides, in elements, of a dense row-major tensor of this shape.
    public var rowMajorStrides: [Int] {
        var strides = [Int](repeating: 1, count: rank)
        for axis in stride(from: rank - 2, through: 0, by: -1) {
            strides[axis] = strides[axis + 1] * max(1, dimensions[axis + 1])
        }
        return strides
    }

    /// For example `[2, 128, 8, 64]`.
    public var description: String { "[" + dimensions.map(String.init).joined(separator: ", ") + "]" }
}
