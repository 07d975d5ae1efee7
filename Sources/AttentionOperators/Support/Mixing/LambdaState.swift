import Kernels

/// A content lambda under way: for each feature the running maximum of its keys, the denominator of their softmax, and the
/// sum of the values weighted by the exponentials.
///
/// Keys join one by one; whole states join by their maxima, in order, as partial results of attention do.
struct LambdaState {
    let maximum: UnsafeMutablePointer<Float>
    let denominator: UnsafeMutablePointer<Float>
    /// `[features][valueDim]`.
    let sum: UnsafeMutablePointer<Float>
    private let features: Int
    private let valueDim: Int
    private let kernels: KernelTable

    private static let log2e: Float = 1.442_695

    /// Floats of a state.
    static func floats(_ features: Int, _ valueDim: Int) -> Int { features * (valueDim + 2) }

    init(_ base: UnsafeMutablePointer<Float>, features: Int, valueDim: Int, kernels: KernelTable) {
        maximum = base
        denominator = base + features
        sum = base + 2 * features
        self.features = features
        self.valueDim = valueDim
        self.kernels = kernels
    }

    /// Forgets every key.
    func reset() {
        maximum.update(repeating: -.infinity, count: features)
        denominator.update(repeating: 0, count: features * (valueDim + 1))
    }

    /// Becomes another state.
    func copy(_ other: LambdaState) {
        maximum.update(from: other.maximum, count: Self.floats(features, valueDim))
    }

    /// Adds one key and its value.
    /// - Parameter scratch: 2 · features floats.
    func absorb(key: UnsafePointer<Float>, value: UnsafePointer<Float>, scratch: UnsafeMutablePointer<Float>) {
        let weights = scratch + features
        for d in 0..<features {
            // The maximum moves to NaN too: what a key poisons stays poisoned for those who see it.
            let highest = maximum[d] > key[d] ? maximum[d] : key[d]
            let shift = highest == -.infinity ? 0 : highest
            // Differences first: in them large keys lose nothing.
            scratch[d] = (maximum[d] - shift) * Self.log2e
            weights[d] = (key[d] - shift) * Self.log2e
            maximum[d] = highest
        }
        kernels.exp2(scratch, scratch, count: 2 * features)
        for d in 0..<features {
            let row = sum + d * valueDim
            if scratch[d] != 1 { for c in 0..<valueDim { row[c] *= scratch[d] } }
            denominator[d] = denominator[d] * scratch[d] + weights[d]
            kernels.scaledAdd(row, value, by: weights[d], count: valueDim)
        }
    }

    /// Adds the keys of a later state.
    /// - Parameter scratch: 2 · features floats.
    func merge(_ other: LambdaState, scratch: UnsafeMutablePointer<Float>) {
        let factors = scratch + features
        for d in 0..<features {
            let highest = maximum[d] > other.maximum[d] ? maximum[d] : other.maximum[d]
            let shift = highest == -.infinity ? 0 : highest
            scratch[d] = (maximum[d] - shift) * Self.log2e
            factors[d] = (other.maximum[d] - shift) * Self.log2e
            maximum[d] = highest
        }
        kernels.exp2(scratch, scratch, count: 2 * features)
        for d in 0..<features {
            let row = sum + d * valueDim
            for c in 0..<valueDim { row[c] *= scratch[d] }
            denominator[d] = denominator[d] * scratch[d] + other.denominator[d] * factors[d]
            kernels.scaledAdd(row, other.sum + d * valueDim, by: factors[d], count: valueDim)
        }
    }

    /// row += query · lambda, nothing when no key was seen.
    func apply(_ query: UnsafePointer<Float>, to row: UnsafeMutablePointer<Float>) {
        for d in 0..<features where denominator[d] != 0 {
            kernels.scaledAdd(row, sum + d * valueDim, by: query[d] / denominator[d], count: valueDim)
        }
    }
}
