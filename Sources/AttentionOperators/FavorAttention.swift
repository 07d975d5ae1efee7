public import AttentionCore
import Kernels
import TensorCore

/// FAVOR+ of Performers (Choromanski et al., 2020, sections 2.3 and 2.4): softmax attention estimated by positive
/// orthogonal random features, `exp(q·k) = E[φ(q)·φ(k)]`.
///
/// With `φ(x)_f = exp(ω_f·x - |x|² / 2)`, attention is a product of small matrices; under a causal mask the sums of
/// `φ(k) vᵀ` run along the sequence. Everything is kept in logarithms: the softmax of each feature over the tokens, then
/// a softmax over the features of each query weighted by that of the tokens' denominators. This is the same quotient, and
/// no exponent is above 0, however large the scores.
/// Cost: 4 · heads · length · features · (headDim + valueDim) operations; memory O(length · features) for each thread.
public struct FavorAttention: DenseOperator {
    /// Options of the operator.
    public struct Configuration: OperatorConfiguration {
        /// Random features.
        public var features: Int?

        /// 256 features.
        public init() {}

        /// The options, for people.
        public static var options: [OptionDescription] {
            [OptionDescription("features", "random features, from 1 up; drawn by the common seed", default: "256")]
        }
    }

    /// Facts.
    public static let capabilities = AttentionCapabilities.dense(
        adding: [.causal, .logSumExp], limit: "features to infinity", workingMemory: "O(L)", arithmetic: "O(L)",
        traits: Set(AttentionTrait.allCases).subtracting([.softmax]))

    /// For people who choose.
    public static let guide = OperatorGuide(
        maths: """
            x^ = sqrt(scale) x for queries and keys
            φ(x)_f = exp(ω_f · x^ - |x^|² / 2)    ω orthogonal in blocks, of Gaussian length
            O_i = Σ_j φ(q_i)·φ(k_j) v_j / Σ_j φ(q_i)·φ(k_j)     causal: over j that i sees
                = softmax_f(ω_f · q^_i + Λ_f) · (softmax over tokens of ω_f · k^_j - |k^_j|² / 2)ᵀ V
            Λ_f = log of the denominator of the softmax over tokens
            log-sum-exp: log of the mean over features of φ(q_i)_f Σ_j φ(k_j)_f
            """,
        choose: """
            To run a model trained with softmax attention on long sequences in linear time without training anything, \
            causal or not: the expected error falls as 1 / sqrt(features). It needs moderate scores: the variance grows \
            as exp(|q^ + k^|²), so where attention is sharp take local or block-sparse, or flash to be exact.
            """,
        limits: """
            Masks other than causal, biases and softcaps cannot be honoured: no score is ever computed. The result \
            depends on the seed. Below a few thousand tokens exact attention is faster. The log-sum-exp is an estimate too.
            """)

    /// The options in force.
    public let configuration: Configuration

    /// Checks the number of features.
    /// - Throws: ``AttentionCore/AttentionError/invalidOption(name:expected:actual:)``.
    public init(_ configuration: Configuration) throws(AttentionError) {
        if let features = configuration.features, !(1...1 << 16).contains(features) {
            throw .invalidOption(name: "features", expected: "from 1 to 65536", actual: "\(features)")
        }
        self.configuration = configuration
    }

    private var features: Int { configuration.features ?? 256 }

    func build<Number: DenseScalar>(_ task: DenseTask<Number>) -> DenseNode<Number> {
        let tape = task.tape
        let directions = tape.constant(self.directions(task))
        let size = abs(task.scale)
        let root = size.squareRoot()
        // A negative scale turns the queries round.
        let queries = tape.multiply(
            task.query, directions, transposeB: true, alpha: task.scale < 0 ? -root : root)
        let squares = tape.scale(tape.rowSums(tape.product(task.key, task.key)), by: -size / 2)
        let keys = tape.addColumn(tape.multiply(task.key, directions, transposeB: true, alpha: root), squares)
        // What the products lack of an estimate of Σ exp(scale · q·k): exp(-|q^|² / 2) / features.
        let lengths = tape.scale(tape.rowSums(tape.product(task.query, task.query)), by: -size / 2)
        let rest = tape.addRow(
            lengths, tape.constant(DenseMatrix(repeating: -Number.logarithm(Number(features)), rows: 1, columns: 1)))
        if tape.engine.isReference { return materialised(queries, keys, rest, task) }
        if let ends = task.ends {
            let weights = tape.rowSoftmaxAndLogarithm(tape.add(queries, tape.causalLogSumExp(keys, ends: ends)))
            tape.logSumExp = tape.add(weights.logSumExp, rest)
            return tape.causalMix(weights.softmax, logits: keys, values: task.value, ends: ends)
        }
        let tokens = tape.columnSoftmax(keys)
        let context = tape.multiply(tokens.softmax, transposeA: true, task.value)
        let weights = tape.rowSoftmaxAndLogarithm(tape.addRow(queries, tokens.logSumExp))
        tape.logSumExp = tape.add(weights.logSumExp, rest)
        return tape.multiply(weights.softmax, context)
    }

    /// The directions, which are kept for the next call with the same seed.
    func sharedBytes(_ problem: AttentionProblem) -> Int { features * problem.headDim * MemoryLayout<Double>.stride }

    private func directions<Number: DenseScalar>(_ task: DenseTask<Number>) -> DenseMatrix<Number> {
        let count = features * task.problem.headDim
        if task.query.value.isSketch {
            DenseLedger.pass(2 * count * MemoryLayout<Number>.stride)
            return DenseMatrix(rows: features, columns: task.problem.headDim)
        }
        let numbers = OrthogonalFeatures.directions(
            count: features, dim: task.problem.headDim, seed: task.problem.options.seed)
        return DenseMatrix(numbers.map { Number($0) }, rows: features, columns: task.problem.headDim)
    }

    /// The definition: the matrix `φ(Q) φ(K)ᵀ`, masked, its rows divided by their sums, times the values.
    private func materialised<Number: DenseScalar>(
        _ queries: DenseNode<Number>, _ keys: DenseNode<Number>, _ rest: DenseNode<Number>, _ task: DenseTask<Number>
    ) -> DenseNode<Number> {
        let tape = task.tape
        // Factors of a feature or a row that cancel in the quotient: the loss does not depend on them.
        let byFeature = keys.value.columnMaxima()
        let below = keys.value.plusRow(byFeature, times: -1)
        if task.visibility != nil, below.elements.contains(where: { !($0 > -40) }) {
            // A row may see nothing but keys so far below the largest that their products vanish.
            let weights = tape.rowSoftmaxAndLogarithm(
                tape.logProduct(queries, keys, visibility: task.visibility), visibility: task.visibility)
            tape.logSumExp = tape.add(weights.logSumExp, rest)
            return tape.weigh(weights.softmax, task.value, visibility: task.visibility)
        }
        let byKey = tape.map(tape.addRow(keys, tape.constant(byFeature.scaled(by: -1))), .exponential)
        let shifted = tape.addRow(queries, tape.constant(byFeature))
        let byRow = shifted.value.rowMaxima().scaled(by: -1)
        let byQuery = tape.map(tape.addColumn(shifted, tape.constant(byRow)), .exponential)
        let products = tape.select(tape.multiply(byQuery, byKey, transposeB: true), task.visibility)
        tape.logSumExp = tape.add(
            tape.add(tape.map(tape.rowSums(products), .logarithm), rest), tape.constant(byRow), times: -1)
        return tape.weigh(tape.normaliseRows(products), task.value, visibility: task.visibility)
    }
}
