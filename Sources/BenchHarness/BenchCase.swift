public import AttentionCore
import TensorCore

/// One problem to measure, and where its numbers come from.
public struct BenchCase: Sendable, Hashable {
    /// Where operands come from.
    public enum Source: Sendable, Hashable {
        /// Uniform numbers from -1 to 1 of a counter-based generator; key and value use the next two seeds.
        case random(seed: UInt64)
        /// `query`, `key` and `value` of a safetensors file.
        case file(path: String)
    }

    /// A label that is unique in a sweep, for example `causal L2048 D64`.
    public let name: String
    /// The preset the case belongs to.
    public let preset: String
    /// Shapes, element type and mask.
    public let problem: AttentionProblem
    /// Where operands come from.
    public let source: Source
    /// Options of single operators in this case, by id; the others run as they were made.
    public let configurations: [String: [String: ConfigurationValue]]

    /// A case with random operands.
    public init(
        name: String, preset: String, problem: AttentionProblem, seed: UInt64 = 1,
        configurations: [String: [String: ConfigurationValue]] = [:]
    ) {
        self.name = name
        self.preset = preset
        self.problem = problem
        self.configurations = configurations
        self.source = .random(seed: seed)
    }

    /// A case with the operands of a file, whose shapes make the problem.
    ///
    /// Cost: O(header of the file).
    /// - Throws: ``BenchError`` when the file has no usable `query`, `key` and `value`.
    public init(name: String, preset: String, path: String, options: AttentionOptions = .init()) throws(BenchError) {
        self.name = name
        self.preset = preset
        self.configurations = [:]
        self.source = .file(path: path)
        let inputs = try Self.read(path)
        do throws(AttentionError) {
            self.problem = try AttentionProblem(inputs, options: options)
        } catch {
            throw .attention(error)
        }
    }

    /// The operands.
    ///
    /// Cost: O(their count) for random ones.
    /// - Throws: ``BenchError/unreadable(path:reason:)``.
    public func inputs() throws(BenchError) -> AttentionInputs {
        switch source {
        case .file(let path):
            return try Self.read(path)
        case .random(let seed):
            func operand(_ length: Int, _ heads: Int, _ dim: Int, _ seed: UInt64) -> Tensor {
                .random(uniform: [problem.batch, length, heads, dim], seed: seed, dtype: problem.dtype)
            }
            let inputs = AttentionInputs(
                query: operand(problem.queryLength, problem.heads, problem.headDim, seed),
                key: operand(problem.keyLength, problem.kvHeads, problem.headDim, seed + 1),
                value: operand(problem.keyLength, problem.kvHeads, problem.valueDim, seed + 2),
                queryLengths: problem.queryLengths, keyLengths: problem.keyLengths)
            return problem.hasInt8Keys ? inputs.quantizingKeys : inputs
        }
    }

    /// The case with fewer queries and keys, so that a reference of it has at most so many scores; itself when it has.
    ///
    /// Cases from files stay as they are, and so do single queries.
    func shortened(toScores budget: Int) -> BenchCase {
        guard case .random(let seed) = source, problem.queryLengths == nil, problem.keyLengths == nil else {
            return self
        }
        var shorter = problem
        while shorter.batch * shorter.heads * shorter.queryLength * shorter.keyLength > budget,
            shorter.keyLength >= 128
        {
            shorter.keyLength /= 2
            shorter.queryLength = max(1, shorter.queryLength / 2)
        }
        return shorter == problem
            ? self
            : BenchCase(
                name: name, preset: preset, problem: shorter, seed: seed, configurations: configurations)
    }

    /// Whether the time goes into reading keys and values rather than into arithmetic: few rows share each key read.
    public var isBandwidthBound: Bool { problem.queryLength * problem.group <= 8 }

    /// Bytes of the keys and values, each read once, with the scales of INT8 ones.
    public var keyValueBytes: Int {
        let rows = problem.batch * problem.keyLength * problem.kvHeads
        let width = problem.hasInt8Keys ? 1 : problem.dtype.byteWidth
        return rows * (problem.headDim + problem.valueDim) * width + (problem.hasInt8Keys ? 8 * rows : 0)
    }

    private static func read(_ path: String) throws(BenchError) -> AttentionInputs {
        do throws(SafetensorsError) {
            let file = try SafetensorsFile(path: path)
            return AttentionInputs(
                query: try file.tensor(named: "query"), key: try file.tensor(named: "key"),
                value: try file.tensor(named: "value"))
        } catch {
            throw .unreadable(path: path, reason: error.description)
        }
    }
}
