public import AttentionCore
import Kernels
import TensorCore

/// Orthoformer (Patrick et al., 2021, "Keeping Your Eye on the Ball", section 3.2): attention through prototypes,
/// `softmax(scale · Q Pᵀ) softmax(scale · P Kᵀ) V`.
///
/// Prototypes are queries: first the longest, then, one by one, the query whose largest absolute cosine with those
/// already taken is smallest. Equals go to the earlier query, so the choice is a function of the queries alone.
/// Cost: 4 · heads · (queryLength + keyLength) · landmarks · headDim operations and as many to choose; memory
/// O(length · landmarks) for each thread.
public struct OrthoformerAttention: DenseOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Prototypes; a shorter sequence takes as many as it has queries.
        public var landmarks: Int?

        /// 64 prototypes.
        public init() {}

        /// The options, for people.
        public static var options: [OptionDescription] {
            [OptionDescription("landmarks", "prototypes chosen from the queries, from 1 up", default: "64")]
        }
    }

    /// Facts.
    public static let capabilities = AttentionCapabilities.dense(
        limit: "mutually orthogonal queries of one length, as many landmarks, scale · |q|² to infinity",
        workingMemory: "O(L)", arithmetic: "O(L)",
        traits: [.weightedMean, .keyOrderFree, .anyScore, .seesEveryKey, .linearInValues])

    /// For people who choose.
    public static let guide = OperatorGuide(
        maths: """
            P = rows of Q: p₁ the longest, then p = argmin over q of max over p in P of |cos(q, p)|
            O = softmax(scale · Q Pᵀ) softmax(scale · P Kᵀ) V
            """,
        choose: """
            For many queries that fall into few groups, such as patches of a video: a prototype attends for its group, \
            and no matrix is inverted, so it is steadier than nystrom. Where queries differ in every direction take \
            favor, or flash to be exact.
            """,
        limits: """
            Each output is a mean of prototypes' outputs, so sharp attention of single queries is lost. Prototypes are \
            chosen from all queries: nothing can be causal, and a query's output depends on the other queries. Gradients \
            flow through the chosen rows; the choice itself has none. There is no log-sum-exp.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Checks the number of prototypes.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        if let landmarks = configuration.landmarks, landmarks < 1 {
            throw .invalidOption(name: "landmarks", expected: "from 1 up", actual: "\(landmarks)")
        }
        self.configuration = configuration
    }

    private var landmarks: Int { configuration.landmarks ?? 64 }

    /// The declared facts, with the reason why nothing can be causal.
    public func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        capabilities.unsupportedReasons(for: problem)
            .explaining(.causal, "cannot be honoured: prototypes are chosen among all queries, later ones too")
    }

    func build<Number: DenseScalar>(_ task: DenseTask<Number>) -> DenseNode<Number> {
        let tape = task.tape
        let chosen = task.query.value.mostOrthogonalRows(min(landmarks, task.queries))
        let prototypes = tape.gather(task.query, rows: chosen)
        func softmax(_ left: DenseNode<Number>, _ right: DenseNode<Number>) -> DenseNode<Number> {
            tape.rowSoftmax(tape.multiply(left, right, transposeB: true, alpha: task.scale))
        }
        let context = tape.multiply(softmax(prototypes, task.key), task.value)
        return tape.multiply(softmax(task.query, prototypes), context)
    }
}

extension DenseMatrix {
    /// The numbers of `count` rows, each as orthogonal to those before it as any; see ``OrthoformerAttention``.
    ///
    /// In Double whatever the matrix holds, so that every arithmetic chooses the same rows. Rows of zeros, which have no
    /// direction, come last. O(rows · count · columns).
    @specialized(where Number == Float)
    @specialized(where Number == Double)
    @inline(never)
    func mostOrthogonalRows(_ count: Int) -> [Int] {
        if isSketch {
            DenseLedger.pass(rows * (2 * MemoryLayout<Double>.stride + 1))
            return Array(0..<min(count, rows))
        }
        var norms = [Double](repeating: 0, count: rows)
        for index in 0..<rows { norms[index] = Self.dot(row(index), row(index), columns).squareRoot() }
        var nearness = [Double](repeating: 0, count: rows)
        var isFree = [Bool](repeating: true, count: rows)
        var chosen: [Int] = []
        for _ in 0..<min(count, rows) {
            var best = -1
            for index in 0..<rows where isFree[index] {
                if best < 0 { best = index; continue }
                if norms[index] == 0 || norms[best] == 0 {
                    if norms[best] == 0, norms[index] > 0 { best = index }
                } else if chosen.isEmpty ? norms[index] > norms[best] : nearness[index] < nearness[best] {
                    best = index
                }
            }
            isFree[best] = false
            chosen.append(best)
            guard norms[best] > 0 else { continue }
            for index in 0..<rows where isFree[index] && norms[index] > 0 {
                let cosine = abs(Self.dot(row(index), row(best), columns)) / (norms[index] * norms[best])
                if cosine > nearness[index] { nearness[index] = cosine }
            }
        }
        return chosen
    }

    @inline(__always)
    private static func dot(_ a: UnsafePointer<Number>, _ b: UnsafePointer<Number>, _ count: Int) -> Double {
        var total = 0.0
        for index in 0..<count { total += Double(a[index]) * Double(b[index]) }
        return total
    }
}
