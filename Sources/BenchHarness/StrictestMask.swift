public import AttentionCore

/// A problem that an operator takes, where nobody says which.
public enum StrictestMask {
    /// The candidate masks, those that hide most first: causal, causal within a window, a window, none.
    public static let candidates: [AttentionMask] = [
        .causal, .and([.causal, .window(left: 31, right: 0)]), .window(left: 15, right: 15), .full,
    ]

    /// The problem with the first mask that the operator takes, or `nil` when it takes none of them.
    ///
    /// Causal comes first, because a leak of the future is the fault worth looking for.
    public static func problem(
        for configured: ConfiguredOperator, _ problem: AttentionProblem
    ) -> AttentionProblem? {
        for mask in candidates {
            var candidate = problem
            candidate.options.mask = mask
            if configured.unsupportedReasons(for: candidate).isEmpty { return candidate }
        }
        return nil
    }

    /// A mask in a word or two.
    public static func name(_ mask: AttentionMask) -> String {
        switch mask {
        case .full: "full"
        case .causal(.bottomRight): "causal"
        case .causal(.topLeft): "causal, top-left"
        case .window(let left, let right, _):
            "window \(left.map(String.init) ?? "-"),\(right.map(String.init) ?? "-")"
        case .and(let parts): parts.map(name).joined(separator: ", ")
        default: mask.configuration.jsonText
        }
    }
}
