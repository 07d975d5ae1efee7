import Foundation
import Synchronization
import TensorCore

/// Directions of random features: Gaussian vectors of which every `dim` in a row are orthogonal (Choromanski et al., 2020,
/// section 2.4).
///
/// Each keeps the length of an independent Gaussian vector, so each alone is Gaussian and estimates stay unbiased; that
/// they are orthogonal makes their variance smaller.
package enum OrthogonalFeatures {
    private struct Key: Hashable {
        let count: Int
        let dim: Int
        let seed: UInt64
    }

    /// The tasks of one call ask for the same directions.
    private static let kept = Mutex<[(key: Key, numbers: [Double])]>([])

    /// `[count, dim]` in row-major order.
    ///
    /// The same for the same seed. O(count · dim · min(count, dim)) when new.
    static func directions(count: Int, dim: Int, seed: UInt64) -> [Double] {
        let key = Key(count: count, dim: dim, seed: seed)
        // Made under the lock: tasks that ask at once would each make them.
        return kept.withLock { kept in
            if let known = kept.first(where: { $0.key == key })?.numbers { return known }
            let numbers = make(key)
            if kept.count >= 4 { kept.removeFirst() }
            kept.append((key, numbers))
            return numbers
        }
    }

    /// Forgets every direction that is kept for later calls.
    package static func freeKept() { kept.withLock { $0 = [] } }

    private static func make(_ key: Key) -> [Double] {
        var random = Gaussian(seed: key.seed)
        var result: [Double] = []
        result.reserveCapacity(key.count * key.dim)
        for start in stride(from: 0, to: key.count, by: key.dim) {
            let block = orthonormal(min(key.dim, key.count - start), key.dim, &random)
            for row in block {
                let length = random.vector(key.dim).reduce(0) { $0 + $1 * $1 }.squareRoot()
                result += row.map { $0 * length }
            }
        }
        return result
    }

    /// Gram and Schmidt, each vector twice, so that rounding does not leave it slanted.
    private static func orthonormal(_ count: Int, _ dim: Int, _ random: inout Gaussian) -> [[Double]] {
        var rows: [[Double]] = []
        for _ in 0..<count {
            var vector = random.vector(dim)
            for row in rows + rows {
                var inner = 0.0
                for index in 0..<dim { inner += row[index] * vector[index] }
                for index in 0..<dim { vector[index] -= inner * row[index] }
            }
            let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
            rows.append(vector.map { $0 / length })
        }
        return rows
    }

    /// Normal numbers by Box and Muller.
    private struct Gaussian {
        private var source: CounterRandom

        init(seed: UInt64) { source = CounterRandom(seed: seed) }

        mutating func vector(_ count: Int) -> [Double] {
            (0..<count).map { _ in
                // From above 0 to 1, so that the logarithm exists.
                let radius = Double((source.next() >> 11) + 1) * 0x1p-53
                let angle = Double(source.next() >> 11) * 0x1p-53
                return (-2 * log(radius)).squareRoot() * cos(2 * Double.pi * angle)
            }
        }
    }
}
