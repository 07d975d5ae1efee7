import Foundation

/// The log-probabilities of a row of logits.
struct RowLogprobs {
    private let logits: UnsafeBufferPointer<Float>
    private let logSumExp: Double

    /// The row, whose normaliser is computed in Double.
    ///
    /// - Throws: `SamplingError.invalidLogit`, or `.noCandidate` where every logit is -infinity.
    init(_ logits: UnsafeBufferPointer<Float>) throws(SamplingError) {
        try Self.check(logits)
        let largest = logits.isEmpty ? -.infinity : logits[Self.largest(logits)]
        guard largest > -.infinity else { throw .noCandidate(vocabulary: logits.count) }
        var sum = 0.0
        for logit in logits { sum += exp(Double(logit) - Double(largest)) }
        self.logits = logits
        logSumExp = Double(largest) + log(sum)
    }

    /// Refuses NaN and +infinity.
    static func check(_ logits: UnsafeBufferPointer<Float>) throws(SamplingError) {
        var bad = SIMDMask<SIMD16<Int32>>(repeating: false)
        logits.forEachSixteen { part in bad .|= .!(part .< .infinity) }
        guard any(bad) else { return }
        for token in logits.indices where !(logits[token] < .infinity) {
            throw .invalidLogit(token: token, value: "\(logits[token])")
        }
    }

    /// Numbers among which the largest is sought one by one, once it is known to be among them.
    private static let stretch = 1024

    /// The place of the largest number, the lowest among equals; no number may be NaN.
    static func largest(_ row: UnsafeBufferPointer<Float>) -> Int {
        var (largest, first) = (-Float.infinity, 0)
        for start in stride(from: 0, to: row.count, by: stretch) {
            var most = SIMD16<Float>(repeating: -.infinity)
            UnsafeBufferPointer(rebasing: row[start..<min(start + stretch, row.count)]).forEachSixteen { part in
                most.replace(with: part, where: part .> most)
            }
            if most.max() > largest { (largest, first) = (most.max(), start) }
        }
        return row[first...].firstIndex(of: largest) ?? 0
    }

    /// The log-probability of a token.
    func logprob(of token: Int) -> Float { Float(Double(logits[token]) - logSumExp) }

    /// The chosen token, then the `count` likeliest without it.
    func list(chosen: Int, count: Int) -> [TokenLogprob] {
        let score = logits[chosen]
        var rank = 1
        for token in logits.indices where logits[token] > score || (logits[token] == score && token < chosen) {
            rank += 1
        }
        let first = TokenLogprob(token: chosen, logprob: logprob(of: chosen), rank: rank)
        return [first] + top(count).filter { $0.token != chosen }
    }

    /// The `count` likeliest tokens, likeliest first and the lower first among equals.
    func top(_ count: Int) -> [TokenLogprob] {
        guard count > 0 else { return [] }
        var tokens = Array(logits.indices)
        if count < logits.count {
            let border = RadixThreshold(Array(logits), target: Double(count)) { _ in 1 }
            var equals = count - Int(border.above)
            tokens.removeAll { token in
                let key = RadixThreshold.key(logits[token])
                if key == border.key { equals -= 1 }
                return key < border.key || (key == border.key && equals < 0)
            }
        }
        tokens.sort { logits[$0] > logits[$1] || (logits[$0] == logits[$1] && $0 < $1) }
        return tokens.enumerated().map {
            TokenLogprob(token: $0.element, logprob: logprob(of: $0.element), rank: $0.offset + 1)
        }
    }
}

extension UnsafeBufferPointer<Float> {
    /// Calls `body` with sixteen numbers at a time, the last filled up with -infinity: every token reads a row of logits
    /// several times, and numbers one by one would take longer than attention.
    @inline(__always)
    fileprivate func forEachSixteen(_ body: (SIMD16<Float>) -> Void) {
        let bytes = UnsafeRawBufferPointer(self)
        let whole = count / 16 * 16
        for place in stride(from: 0, to: whole, by: 16) {
            body(bytes.loadUnaligned(fromByteOffset: place * 4, as: SIMD16<Float>.self))
        }
        var rest = SIMD16<Float>(repeating: -.infinity)
        for place in whole..<count { rest[place - whole] = self[place] }
        body(rest)
    }
}
