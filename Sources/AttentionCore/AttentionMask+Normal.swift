extension AttentionMask {
    /// The same mask in a form that is easy to read and to compare: conjunctions and disjunctions taken apart where they
    /// are nested, negations moved down to single masks (De Morgan), `full` and repeated parts left out.
    ///
    /// Allows exactly the same pairs. Cost: O(size of the expression²).
    public var normalised: AttentionMask {
        switch self {
        case .and(let parts): return Self.join(parts.map(\.normalised), conjunction: true)
        case .or(let parts): return Self.join(parts.map(\.normalised), conjunction: false)
        case .not(.not(let part)): return part.normalised
        case .not(.and(let parts)): return Self.join(parts.map { AttentionMask.not($0).normalised }, conjunction: false)
        case .not(.or(let parts)): return Self.join(parts.map { AttentionMask.not($0).normalised }, conjunction: true)
        case .not(.full): return Self.nothing
        case .not(let part):
            let inner = part.normalised
            if inner != part { return AttentionMask.not(inner).normalised }
            return .not(inner)
        case .window(nil, nil, _): return .full
        case .window(nil, .some(0), let corner): return .causal(corner)
        case .prefix(let length) where length <= 0: return Self.nothing
        case .shifted(let shifted):
            if shifted.queries == 0, shifted.keys == 0, shifted.lengths == nil { return shifted.mask.normalised }
            return .shifted(
                ShiftedMask(
                    shifted.mask.normalised, queries: shifted.queries, keys: shifted.keys, lengths: shifted.lengths))
        case .full, .causal, .window, .prefix, .documents, .tree, .blocks, .function: return self
        }
    }

    /// The mask that allows nothing.
    static let nothing = AttentionMask.or([])

    /// Joins normal parts: full and empty parts settle or vanish, nested joins of the same kind are taken apart.
    private static func join(_ parts: [AttentionMask], conjunction: Bool) -> AttentionMask {
        let (neutral, absorbing) = conjunction ? (AttentionMask.full, nothing) : (nothing, AttentionMask.full)
        var flat: [AttentionMask] = []
        for part in parts {
            let pieces: [AttentionMask] =
                switch part {
                case .and(let inner) where conjunction: inner
                case .or(let inner) where !conjunction: inner
                default: [part]
                }
            for piece in pieces where piece != neutral && !flat.contains(piece) { flat.append(piece) }
        }
        if flat.contains(absorbing) { return absorbing }
        if flat.isEmpty { return neutral }
        return flat.count == 1 ? flat[0] : conjunction ? .and(flat) : .or(flat)
    }
}
