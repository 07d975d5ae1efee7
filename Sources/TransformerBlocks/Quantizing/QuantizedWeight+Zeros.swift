import Kernels
import Quantization
import TensorCore

extension QuantizedWeight {
    /// Gives groups whose zero is 0 the zero 1, on a grid that is as much wider as the lost step asks for.
    ///
    /// GPTQ's first form of files holds each zero less one and has no place for a 0, which groups without a weight below 0
    /// have. Few groups are so; of theirs, codes change by rounding on the wider grid.
    ///
    /// Cost: O(outputs · groups), and O(group size) for each group that changes.
    mutating func raiseZeros() {
        guard var zeros, zeros.contains(0) else { return }
        let members = Dictionary(grouping: 0..<inputs) { group(of: $0) }
        for place in zeros.indices where zeros[place] == 0 {
            let (output, group) = (place / groups, place % groups)
            let cells = (members[group] ?? []).map { output * inputs + $0 }
            let old = scales[place]
            let largest = cells.map { Int(codes[$0]) }.max() ?? 0
            let top = 1 << bits - 2
            // Where the last code is free nothing is lost.
            let wider = largest <= top ? old : scaleType.scale(old * Float(largest) / Float(top))
            for cell in cells {
                let code = (old * Float(codes[cell]) / wider).rounded(.toNearestOrEven)
                codes[cell] = UInt8(min(max(code, 0), Float(top))) + 1
            }
            scales[place] = wider
            zeros[place] = 1
        }
        self.zeros = zeros
    }
}
