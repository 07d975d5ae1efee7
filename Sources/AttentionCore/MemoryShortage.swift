public import Kernels

/// Why a call does not fit the bytes that it may take.
public struct MemoryShortage: Sendable, Hashable, Codable {
    /// The bytes that the call may hold at its peak: ``Kernels/ComputeContext/maxBytes``.
    public let maxBytes: Int
    /// The bytes that the operator would take if nothing limited it.
    public let neededBytes: Int
    /// The fewest bytes that it can do with, by smaller tasks and fewer threads: a limit of so many would do.
    public let smallestBytes: Int

    /// A shortage.
    public init(maxBytes: Int, neededBytes: Int, smallestBytes: Int) {
        self.maxBytes = maxBytes
        self.neededBytes = neededBytes
        self.smallestBytes = smallestBytes
    }
}

extension UnsupportedReason {
    /// A refusal for lack of memory.
    /// - Parameter call: what does not fit, `a forward pass`.
    public init(_ shortage: MemoryShortage, call: String) {
        self.init(
            .memory,
            "\(call) takes \(Self.text(shortage.neededBytes)), \(Self.text(shortage.smallestBytes)) at the least; "
                + "\(Self.text(shortage.maxBytes)) allowed",
            remedy: "allow \(shortage.smallestBytes) bytes", shortage: shortage)
    }

    /// Bytes in a unit that people read; the remedy has them exactly.
    private static func text(_ bytes: Int) -> String {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
        let unit = min(units.count - 1, max(0, (Int.bitWidth - 1 - max(1, bytes).leadingZeroBitCount) / 10))
        if unit == 0 { return "\(bytes) bytes" }
        let tenths = (Double(bytes) / Double(1 << (10 * unit)) * 10).rounded()
        return "\(tenths / 10) \(units[unit])"
    }
}

extension AttentionOperator {
    /// Why the operator cannot run a problem where a context says: its own reasons, then the bytes that a context allows.
    ///
    /// Cost: without a limit that of ``unsupportedReasons(for:)``, else two plans.
    public func unsupportedReasons(for problem: AttentionProblem, context: ComputeContext) -> [UnsupportedReason] {
        let reasons = unsupportedReasons(for: problem)
        guard reasons.isEmpty, context.maxBytes != nil else { return reasons }
        return memoryReasons(plan(problem, context: context), context)
    }

    /// Why the operator cannot compute gradients where a context says: its own reasons, then the bytes that a context
    /// allows.
    /// - Parameter heldBytes: what the caller counts to the call beside, such as an output that is computed for it.
    public func unsupportedGradientReasons(
        for problem: AttentionProblem, context: ComputeContext, heldBytes: Int = 0
    ) -> [UnsupportedReason] {
        let reasons = unsupportedGradientReasons(for: problem)
        guard reasons.isEmpty, let maxBytes = context.maxBytes,
            let plan = gradientPlan(problem, context: context.limited(toBytes: maxBytes - heldBytes)),
            plan.peakBytes + heldBytes > maxBytes
        else { return reasons }
        let needed = gradientPlan(problem, context: context.limited(toBytes: nil))?.peakBytes ?? plan.peakBytes
        return [
            UnsupportedReason(
                MemoryShortage(
                    maxBytes: maxBytes, neededBytes: needed + heldBytes, smallestBytes: plan.peakBytes + heldBytes),
                call: "a backward pass")
        ]
    }

    /// The reason why a plan, which is the smallest where none fits, does not fit.
    func memoryReasons(_ plan: AttentionPlan, _ context: ComputeContext) -> [UnsupportedReason] {
        guard let maxBytes = context.maxBytes, plan.peakBytes > maxBytes else { return [] }
        let needed = self.plan(plan.problem, context: context.limited(toBytes: nil)).peakBytes
        return [
            UnsupportedReason(
                MemoryShortage(maxBytes: maxBytes, neededBytes: needed, smallestBytes: plan.peakBytes),
                call: "a forward pass")
        ]
    }
}
