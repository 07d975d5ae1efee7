import AttentionCore

/// Carries a score function into the kernels: what the C callback finds behind its context pointer.
///
/// Plain data in scratch memory; the function itself is kept alive by ``BlockModifiers``.
struct ScoreCallback {
    /// Keeps a score function at one address.
    final class Box: Sendable {
        let function: ScoreFunction

        init(_ function: ScoreFunction) { self.function = function }
    }

    let box: Unmanaged<Box>
    let batch: Int
    let firstHead: Int
    let heads: Int
    let firstQuery: Int
    let firstKey: Int

    /// Floats of scratch that one callback takes.
    static let floats = (MemoryLayout<ScoreCallback>.size + 3) / 4

    init(_ box: Box, _ rows: RowBlock, firstKey: Int) {
        self.box = .passUnretained(box)
        batch = rows.batch
        firstHead = rows.firstHead
        heads = rows.heads
        firstQuery = rows.queries.lowerBound
        self.firstKey = firstKey
    }

    /// Where a row's score on a key of the block stands.
    func place(row: Int, key: Int) -> ScorePlace {
        ScorePlace(
            batch: batch, head: firstHead + row % heads, query: firstQuery + row / heads, key: firstKey + key)
    }

    /// What kernels call for each row: scores in the base-2 logarithm, the function in natural units.
    static let change:
        @convention(c) (UnsafeMutableRawPointer?, Int64, Int64, Int64, UnsafeMutablePointer<Float>?) -> Void = {
            context, row, start, end, scores in
            guard let context, let scores else { return }
            let callback = context.assumingMemoryBound(to: ScoreCallback.self).pointee
            let function = callback.box.takeUnretainedValue().function
            for key in Int(start)..<Int(end) {
                let place = callback.place(row: Int(row), key: key)
                scores[key] = Float(function.value(Double(scores[key]) * ln2, place) / ln2)
            }
        }

    /// What kernels call for the derivative: scores in the base-2 logarithm in, derivatives out.
    ///
    /// Both logarithms have the same derivative.
    static let slope:
        @convention(c) (UnsafeMutableRawPointer?, Int64, Int64, Int64, UnsafeMutablePointer<Float>?) -> Void = {
            context, row, start, end, scores in
            guard let context, let scores else { return }
            let callback = context.assumingMemoryBound(to: ScoreCallback.self).pointee
            guard let derivative = callback.box.takeUnretainedValue().function.derivative else { return }
            for key in Int(start)..<Int(end) {
                let place = callback.place(row: Int(row), key: key)
                scores[key] = Float(derivative(Double(scores[key]) * ln2, place))
            }
        }

    /// ln 2: natural units from the base-2 logarithm.
    private static let ln2 = 0.693_147_180_559_945_3
}
