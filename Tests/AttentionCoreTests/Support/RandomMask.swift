import AttentionCore
import TensorCore

extension AttentionMask {
    /// A random expression of at most the given depth.
    static func random(depth: Int, using generator: inout CounterRandom) -> AttentionMask {
        let kinds = depth > 0 ? 7 : 4
        switch Int.random(in: 0..<kinds, using: &generator) {
        case 0: return .full
        case 1: return .causal(randomCorner(using: &generator))
        case 2:
            let left = randomSide(using: &generator)
            let right = randomSide(using: &generator)
            return .window(left: left, right: right, corner: randomCorner(using: &generator))
        case 3: return .prefix(length: Int.random(in: 0...8, using: &generator))
        case 4: return .and(randomParts(depth, &generator))
        case 5: return .or(randomParts(depth, &generator))
        default: return .not(random(depth: depth - 1, using: &generator))
        }
    }

    private static func randomParts(_ depth: Int, _ generator: inout CounterRandom) -> [AttentionMask] {
        let count = Int.random(in: 0...3, using: &generator)
        return (0..<count).map { _ in random(depth: depth - 1, using: &generator) }
    }

    private static func randomCorner(using generator: inout CounterRandom) -> MaskCorner {
        Bool.random(using: &generator) ? .bottomRight : .topLeft
    }

    private static func randomSide(using generator: inout CounterRandom) -> Int? {
        let side = Int.random(in: -1...4, using: &generator)
        return side < 0 ? nil : side
    }
}
