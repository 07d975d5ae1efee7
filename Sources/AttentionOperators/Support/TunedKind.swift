import AttentionCore
import Kernels
import TensorCore

extension AttentionProblem {
    /// Problems for which the same rows of a task are quickest: the same kernels, threads, heads and kind of mask, lengths
    /// within a factor of two.
    func tunedKind(sharing: Bool, context: ComputeContext) -> String {
        let heads = heads == kvHeads ? "\(heads) heads" : "\(heads)/\(kvHeads) heads"
        return [
            context.isa, "\(context.threads) threads", dtype.rawValue, sharing ? "\(heads) together" : heads,
            "D\(headDim)/\(valueDim)", "batch \(Self.magnitude(batch))",
            "\(Self.magnitude(queryLength)) x \(Self.magnitude(keyLength))", Self.word(options.mask),
        ].joined(separator: ", ")
    }

    /// The power of two below, and the next: `1024-2047`.
    private static func magnitude(_ number: Int) -> String {
        guard number > 1 else { return "\(number)" }
        let low = 1 << (Int.bitWidth - 1 - number.leadingZeroBitCount)
        return "\(low)-\(2 * low - 1)"
    }

    private static func word(_ mask: AttentionMask) -> String {
        switch mask {
        case .full: "full"
        case .causal: "causal"
        case .window(let left, let right, _):
            "window " + [left, right].map { $0.map(magnitude) ?? "-" }.joined(separator: ":")
        case .and(let parts): parts.map(word).sorted().joined(separator: " and ")
        default: "another mask"
        }
    }
}
