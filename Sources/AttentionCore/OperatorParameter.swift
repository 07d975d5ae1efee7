public import TensorCore

/// A tensor that an operator owns and a model learns.
public struct OperatorParameter: Sendable, Hashable {
    /// How a parameter begins when nothing is loaded.
    public enum Initial: Sendable, Hashable {
        /// Zeros.
        case zeros
        /// Ones.
        case ones
        /// Numbers from `-amplitude` to `amplitude`.
        case uniform(amplitude: Float)
        /// `[..., rows, columns]`: row `i` averages the `i`-th of `rows` equal segments of the columns; the identity when
        /// the extents are equal.
        case segmentMeans
        /// `[..., rows, columns]`: ones on the diagonal.
        case identity
    }

    /// The name within the operator, for example `key-projection`.
    public let name: String
    /// The extents.
    public let shape: Shape
    /// How it begins.
    public let initial: Initial
    /// What it is for, in a few words.
    public let summary: String

    /// A parameter.
    public init(_ name: String, shape: Shape, initial: Initial, summary: String) {
        self.name = name
        self.shape = shape
        self.initial = initial
        self.summary = summary
    }

    /// The numbers that the parameter begins with; the same for the same seed.
    ///
    /// Cost: O(count).
    public func initialValue(seed: UInt64) -> Tensor {
        switch initial {
        case .zeros: return Tensor(zeros: shape)
        case .ones: return filled { _, _ in 1 }
        case .uniform(let amplitude):
            let own = name.utf8.reduce(seed) { CounterRandom.value(seed: $0, index: UInt64($1)) }
            return Tensor.random(uniform: shape, seed: own, amplitude: amplitude)
        case .identity: return filled { $0 == $1 ? 1 : 0 }
        case .segmentMeans:
            let rows = shape[shape.rank - 2]
            let columns = shape[shape.rank - 1]
            return filled { row, column in
                let segment = row * columns / rows..<max((row + 1) * columns / rows, row * columns / rows + 1)
                return segment.contains(column) ? 1 / Float(segment.count) : 0
            }
        }
    }

    private func filled(_ cell: (_ row: Int, _ column: Int) -> Float) -> Tensor {
        let columns = shape.dimensions.last ?? 1
        let rows = shape.rank > 1 ? shape[shape.rank - 2] : 1
        let result = Tensor(zeros: shape)
        let target = result.freshMutableAddress.assumingMemoryBound(to: Float.self)
        for index in 0..<shape.count {
            target[index] = cell(columns == 0 ? 0 : index / columns % max(1, rows), columns == 0 ? 0 : index % columns)
        }
        return result
    }
}
