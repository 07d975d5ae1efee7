import AttentionCore
import Kernels
import TensorCore

/// Who sees whom in a lambda layer, and where: shared by the fast computation, its gradients and the references.
struct LambdaProblem: Sendable {
    let problem: AttentionProblem
    /// Positions farther from a query than this have no embedding.
    let radius: Int

    /// The factor on the queries; 1 as in the paper unless the problem names one.
    var scale: Float { problem.options.scale ?? 1 }

    /// Rows of the embeddings.
    var embeddings: Int { 2 * radius + 1 }

    /// One sequence.
    func sequence(_ batch: Int) -> LambdaSequence {
        let geometry = problem.geometry(batch)
        let band = problem.options.mask.band(geometry) ?? KeyBand(keyLength: geometry.keyLength)
        return LambdaSequence(
            queries: geometry.queryLength, keys: geometry.keyLength, band: band,
            diagonal: geometry.diagonal(Self.corner(problem.options.mask) ?? .bottomRight), radius: radius,
            isCausal: problem.features.contains(.causal))
    }

    /// The corner of a causal mask.
    private static func corner(_ mask: AttentionMask) -> MaskCorner? {
        switch mask {
        case .causal(let corner): corner
        case .and(let parts): parts.lazy.compactMap(corner).first
        default: nil
        }
    }
}

/// One sequence of a lambda layer.
struct LambdaSequence: Sendable {
    let queries: Int
    let keys: Int
    let band: KeyBand
    /// Keys before the first query's place.
    let diagonal: Int
    let radius: Int
    let isCausal: Bool

    /// A query sees the keys before this one.
    ///
    /// Never falls from one query to the next.
    func end(_ query: Int) -> Int { band.keys(for: query).upperBound }

    /// The keys that a query sees and that have an embedding for it.
    func near(_ query: Int) -> Range<Int> {
        let place = query + diagonal
        let first = max(0, place - radius)
        return first..<max(first, min(end(query), place + radius + 1))
    }

    /// The embedding of a key seen from a query.
    func embedding(_ query: Int, _ key: Int) -> Int { key - query - diagonal + radius }
}
