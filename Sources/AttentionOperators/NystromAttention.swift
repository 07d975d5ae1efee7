public import AttentionCore
import Kernels
import TensorCore

/// Nyströmformer (Xiong et al., 2021, algorithm 1): softmax attention through landmarks, `F A⁺ (B V)`.
///
/// Landmarks are means of segments of queries and keys. The pseudo-inverse of the small matrix is iterated; after few
/// iterations it is damped where the matrix is nearly singular, which is what the paper trains with.
/// Cost: 4 · heads · (queryLength + keyLength) · landmarks · headDim operations; memory O(length · landmarks) for each
/// thread.
public struct NystromAttention: DenseOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Landmarks of queries and of keys; a shorter sequence takes as many as it has.
        public var landmarks: Int?
        /// Iterations of the pseudo-inverse.
        public var iterations: Int?
        /// Steps of the convolution of the values along the sequence, odd; 0 is none.
        public var convolution: Int?

        /// 64 landmarks, 6 iterations, no convolution.
        public init() {}

        /// The options, for people.
        public static var options: [OptionDescription] {
            [
                OptionDescription("landmarks", "segments of queries and of keys, from 1 up", default: "64"),
                OptionDescription("iterations", "of the pseudo-inverse, from 1 to 64", default: "6"),
                OptionDescription(
                    "convolution", "steps of a convolution of the values that is added, odd; 0 is none", default: "0"),
            ]
        }
    }

    /// Facts.
    public static let capabilities = AttentionCapabilities.dense(
        limit: "landmarks = length, iterations until the pseudo-inverse stands", workingMemory: "O(L)",
        arithmetic: "O(L)", traits: [.seesEveryKey, .linearInValues])

    /// For people who choose.
    public static let guide = OperatorGuide(
        maths: """
            Q~, K~ = means of m segments of the rows of Q, K
            F = softmax(scale · Q K~ᵀ)            [L, m]
            A = softmax(scale · Q~ K~ᵀ)           [m, m]
            B = softmax(scale · Q~ Kᵀ)            [m, n]
            Z ← Aᵀ / (‖A‖₁ ‖A‖∞)                  ‖A‖∞ = 1
            Z ← ¼ Z (13 I - A Z (15 I - A Z (7 I - A Z)))      repeated
            O = F Z (B V)  [+ depthwise convolution of V along the sequence]
            """,
        choose: """
            For encoders over long documents where lengths vary: no parameter depends on the length, and attention that \
            changes slowly along the sequence is met well. When a few keys stand out sharply take favor with many \
            features or stay exact with flash; for decoders take favor or local.
            """,
        limits: """
            Landmarks average over the whole sequence, so nothing can be causal and no mask can be honoured; a query's \
            output depends on the other queries. Rows of F Z B sum to 1 only where the pseudo-inverse has converged. \
            The convolution needs as many keys as queries. There is no log-sum-exp.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Checks the options.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        if let landmarks = configuration.landmarks, landmarks < 1 {
            throw .invalidOption(name: "landmarks", expected: "from 1 up", actual: "\(landmarks)")
        }
        if let iterations = configuration.iterations, !(1...64).contains(iterations) {
            throw .invalidOption(name: "iterations", expected: "from 1 to 64", actual: "\(iterations)")
        }
        if let size = configuration.convolution, !(size == 0 || size > 0 && size % 2 == 1 && size < 1 << 16) {
            throw .invalidOption(name: "convolution", expected: "0 or an odd number of steps", actual: "\(size)")
        }
        self.configuration = configuration
    }

    private var landmarks: Int { configuration.landmarks ?? 64 }
    private var convolution: Int { configuration.convolution ?? 0 }

    /// The declared facts, with the reasons why nothing can be causal and what the convolution needs.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        var reasons = capabilities.unsupportedReasons(for: problem)
            .explaining(.causal, "cannot be honoured: landmarks average over the whole sequence, the future too")
        if convolution > 0, problem.queryLength != problem.keyLength || problem.queryLengths != problem.keyLengths {
            reasons.append(
                UnsupportedReason(
                    .crossLength, "leaves the convolution of values without places for the queries",
                    remedy: "use as many keys as queries, or set convolution to 0"))
        }
        return reasons
    }

    /// The convolution's kernel, if there is a convolution.
    public func parameters(for problem: AttentionProblem) -> [OperatorParameter] {
        guard convolution > 0 else { return [] }
        return [
            OperatorParameter(
                "convolution", shape: [problem.heads, convolution], initial: .zeros,
                summary: "weights of the values around a query, one row for each head")
        ]
    }

    func build<Number: DenseScalar>(_ task: DenseTask<Number>) -> DenseNode<Number> {
        let tape = task.tape
        let count = min(landmarks, task.queries, task.keys)
        let queryMarks = tape.segmentMeans(task.query, segments: count)
        let keyMarks = tape.segmentMeans(task.key, segments: count)
        func softmax(_ left: DenseNode<Number>, _ right: DenseNode<Number>) -> DenseNode<Number> {
            tape.rowSoftmax(tape.multiply(left, right, transposeB: true, alpha: task.scale))
        }
        let inverse = pseudoInverse(softmax(queryMarks, keyMarks), tape)
        let context = tape.multiply(inverse, tape.multiply(softmax(queryMarks, task.key), task.value))
        let output = tape.multiply(softmax(task.query, keyMarks), context)
        guard convolution > 0 else { return output }
        let kernel = tape.part(task.parameter("convolution"), rows: task.heads)
        return tape.add(output, tape.convolve(task.value, kernel: kernel, rows: task.queries))
    }

    /// Section "Approximation of the Moore-Penrose inverse": the start keeps every eigenvalue of `A Z` within (0, 1], the
    /// iteration is of third order.
    ///
    /// In Double: near-singular matrices magnify rounding, and the matrix is small.
    private func pseudoInverse<Number: DenseScalar>(
        _ matrix: DenseNode<Number>, _ tape: DenseTape<Number>
    ) -> DenseNode<Number> {
        tape.inDouble(matrix) { tape, a in
            let sums = tape.columnSums(a)
            let largest = (0..<sums.columns).max { sums.value[0, $0] < sums.value[0, $1] } ?? 0
            let norm = tape.map(tape.part(sums, columns: largest..<largest + 1), .reciprocal)
            let norms = tape.gather(norm, rows: [Int](repeating: 0, count: a.rows))
            var z = tape.scaleRows(tape.transpose(a), by: norms)
            func minus(_ factor: Double, _ x: DenseNode<Double>) -> DenseNode<Double> {
                let identity = DenseMatrix<Double>(repeating: 0, rows: x.rows, columns: x.columns)
                for index in 0..<x.rows { identity[index, index] = factor }
                return tape.subtract(tape.constant(identity), x)
            }
            for _ in 0..<(configuration.iterations ?? 6) {
                let az = tape.multiply(a, z)
                let inner = minus(15, tape.multiply(az, minus(7, az)))
                z = tape.multiply(z, minus(13, tape.multiply(az, inner)), alpha: 0.25)
            }
            return z
        }
    }
}
