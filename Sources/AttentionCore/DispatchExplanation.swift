/// What a plan costs, for people and files.
public struct DispatchPlan: Sendable, Hashable, Codable {
    /// Query rows that one task works on.
    public let queryTile: Int
    /// Keys that one step reads.
    public let keyTile: Int
    /// Independent pieces of work.
    public let tasks: Int
    /// Bytes of working memory beyond inputs and outputs.
    public let workspaceBytes: Int
    /// The most bytes that the call holds at once beyond its inputs.
    public let peakBytes: Int

    init(_ plan: AttentionPlan) {
        queryTile = plan.queryTile
        keyTile = plan.keyTile
        tasks = plan.tasks
        workspaceBytes = plan.workspaceBytes
        peakBytes = plan.peakBytes
    }
}

/// One operator's standing before a problem.
public struct DispatchCandidate: Sendable, Hashable, Codable {
    /// The operator.
    public let id: String
    /// Why it cannot run the problem, with the nearest change that would let it; empty when it can.
    public let reasons: [UnsupportedReason]
    /// The catalogue's priority.
    public let priority: Int
    /// The measured time in seconds, where somebody measured it.
    public let measuredSeconds: Double?
    /// How it would run the problem; `nil` when it cannot.
    public let plan: DispatchPlan?
    /// Whether `auto` takes it.
    public let isChosen: Bool
    /// What it computes instead of the problem; `nil` for softmax attention over the problem's mask.
    public let note: String?

    /// `*` for the chosen one, `+` for others that could be, `~` for other mathematics, `-` for those that cannot run it.
    public var mark: String { isChosen ? "*" : plan == nil ? "-" : note == nil ? "+" : "~" }

    /// Bytes of working memory it would take; `nil` when it cannot run the problem.
    public var workspaceBytes: Int? { plan?.workspaceBytes }
}

/// Which operators can run a problem, which one `auto` takes, and why not the others.
public struct DispatchExplanation: Sendable, Hashable, Codable {
    /// The problem in words.
    public let problem: String
    /// The operator `auto` takes; `nil` when none can run the problem.
    public let chosen: String?
    /// Every operator: those that can run the problem first, in order of choice.
    public let candidates: [DispatchCandidate]
}

extension DispatchExplanation: CustomStringConvertible {
    /// The problem, the choice, and a line for each fact about each candidate.
    public var description: String {
        var lines = ["problem  \(problem)", "chosen   \(chosen ?? "none")"]
        for candidate in candidates {
            if let plan = candidate.plan {
                let time = candidate.measuredSeconds.map { "measured \($0) s, " } ?? ""
                lines.append(
                    "\(candidate.mark) \(candidate.id): \(time)priority \(candidate.priority), "
                        + "tiles of \(plan.queryTile) queries and \(plan.keyTile) keys, \(plan.tasks) tasks, "
                        + "\(plan.workspaceBytes) bytes of working memory")
                if let note = candidate.note { lines.append("    \(note)") }
            } else {
                lines.append("- \(candidate.id) cannot run it:")
                lines += candidate.reasons.map { "    \($0.description)" }
            }
        }
        return lines.joined(separator: "\n")
    }
}
