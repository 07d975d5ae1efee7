import AttentionCore
import TensorCore

/// The operands of `zoo run`, by the names they have in a file.
struct RunInputs {
    /// Operands, and the parameters that the file holds.
    let inputs: AttentionInputs
    /// What a loss says about the results; for `--backward`.
    let gradient: OutputGradient?
    /// Tensors that `zoo run` has no use for.
    let ignored: [String]
    private let path: String

    private static let required = ["query", "key", "value"]
    private static let known =
        required + [
            "bias", "mask", "query_lengths", "key_lengths", "sinks", "alibi_slopes", "key_scales", "value_scales",
            "block_table", "query_starts", "output_gradient", "log_sum_exp_gradient",
        ]
    /// What the names of an operator's own tensors begin with.
    static let parameterPrefix = "parameter."

    /// Reads a file.
    /// - Throws: ``CommandFailure`` for a file or a tensor that cannot be used.
    init(path: String) throws {
        self.path = path
        do {
            let file = try SafetensorsFile(path: path)
            ignored = try Self.ignored(file, path: path)
            let key = try Self.operand("key", file, path)
            let keyLengths = try Self.lengths("key_lengths", file, path)
            let pages = try Self.pages(key, keyLengths, file, path)
            inputs = AttentionInputs(
                query: try Self.operand("query", file, path), key: key,
                value: try Self.operand("value", file, path), bias: file["bias"], mask: file["mask"],
                queryLengths: try Self.lengths("query_lengths", file, path),
                keyLengths: pages == nil ? keyLengths : nil,
                alibiSlopes: try Self.perHead("alibi_slopes", file, path),
                sinks: try Self.perHead("sinks", file, path), keyScales: file["key_scales"],
                valueScales: file["value_scales"], pages: pages, parameters: Self.parameters(file))
            gradient = file["output_gradient"].map {
                OutputGradient(output: $0, logSumExp: file["log_sum_exp_gradient"])
            }
        } catch let error as SafetensorsError {
            throw CommandFailure(error, path: path)
        }
    }

    /// The operands with every tensor that the operator owns, and the names of those that had to be initialised.
    /// - Throws: ``CommandFailure`` for a parameter that the operator does not own.
    func completed(
        for configured: ConfiguredOperator, options: AttentionOptions
    ) throws -> (inputs: AttentionInputs, initialised: [String]) {
        let problem = try AttentionProblem(inputs, options: options)
        let owned = configured.parameters(for: problem).map(\.name)
        if let stray = inputs.parameters.keys.sorted().first(where: { !owned.contains($0) }) {
            let near = NearestName.suggestions(for: stray, among: owned)
            let hint =
                owned.isEmpty
                ? "it owns none"
                : near.isEmpty ? "it owns \(owned.joined(separator: ", "))" : "did you mean '\(near[0])'?"
            throw CommandFailure(
                .data,
                "'\(path)' has a tensor '\(Self.parameterPrefix)\(stray)', but '\(configured.id)' owns no parameter "
                    + "'\(stray)'; \(hint)", advice: "rename or remove it")
        }
        return try configured.initialising(inputs, options: options, seed: options.seed)
    }

    /// The derivatives by the results, which `--backward` needs.
    /// - Throws: ``CommandFailure`` when the file has none.
    func requiredGradient() throws -> OutputGradient {
        guard let gradient else {
            throw CommandFailure(
                .data, "'\(path)' has no tensor 'output_gradient', which --backward needs",
                advice: "add the derivative of the loss by the output, [B, Lq, H, Dv]")
        }
        return gradient
    }

    private static func operand(_ name: String, _ file: SafetensorsFile, _ path: String) throws -> Tensor {
        guard let tensor = file[name] else {
            throw CommandFailure(
                .data, "'\(path)' has no tensor '\(name)'; it holds \(file.names.joined(separator: ", "))",
                advice: "the input needs query [B, Lq, H, D], key [B, Lk, Hkv, D] and value [B, Lk, Hkv, Dv]")
        }
        return tensor
    }

    private static func parameters(_ file: SafetensorsFile) -> [String: Tensor] {
        var result: [String: Tensor] = [:]
        for name in file.names where name.hasPrefix(parameterPrefix) {
            result[String(name.dropFirst(parameterPrefix.count))] = file[name]
        }
        return result
    }

    /// Where keys and values lie, when the file has block tables: `block_table` [sequences, pages] with -1 behind a
    /// sequence's last page, and `key_lengths`.
    private static func pages(
        _ key: Tensor, _ keyLengths: [Int]?, _ file: SafetensorsFile, _ path: String
    ) throws -> PagedKeys? {
        guard let table = file["block_table"] else {
            guard file["query_starts"] == nil else {
                throw CommandFailure(.data, "'\(path)' has 'query_starts' without a 'block_table'")
            }
            return nil
        }
        guard table.dtype == .int32 || table.dtype == .int64, table.shape.rank == 2, key.shape.rank == 4 else {
            throw CommandFailure(
                .data,
                "block_table in '\(path)' is \(table.dtype.rawValue) \(table.shape); expected I32 or I64 [sequences, pages], "
                    + "and key [pages, pageSize, kvHeads, headDim]")
        }
        guard let keyLengths else {
            throw CommandFailure(.data, "'\(path)' has a block_table and no 'key_lengths', which it needs")
        }
        let entries = try reporting { try table.integers() }
        let width = table.shape[1]
        let tables = (0..<table.shape[0]).map { Array(entries[$0 * width..<($0 + 1) * width]) }
        let starts = try lengths("query_starts", file, path)
        return try reporting {
            try PagedKeys(pageSize: key.shape[1], blockTables: tables, keyLengths: keyLengths, queryStarts: starts)
        }
    }

    private static func lengths(_ name: String, _ file: SafetensorsFile, _ path: String) throws -> [Int]? {
        guard let tensor = file[name] else { return nil }
        guard tensor.dtype == .int32 || tensor.dtype == .int64, tensor.shape.rank == 1 else {
            throw CommandFailure(
                .data,
                "\(name) in '\(path)' is \(tensor.dtype.rawValue) \(tensor.shape); expected I32 or I64 [batch]")
        }
        return try reporting { try tensor.integers() }
    }

    private static func perHead(_ name: String, _ file: SafetensorsFile, _ path: String) throws -> [Float]? {
        guard let tensor = file[name] else { return nil }
        guard tensor.dtype.isFloatingPoint, tensor.shape.rank == 1 else {
            throw CommandFailure(
                .data,
                "\(name) in '\(path)' is \(tensor.dtype.rawValue) \(tensor.shape); expected floating-point [heads]")
        }
        return tensor.floats()
    }

    /// Names without a meaning here.
    ///
    /// One that looks like a misspelt operand is an error: dropping it would change the result in silence.
    private static func ignored(_ file: SafetensorsFile, path: String) throws -> [String] {
        let others = file.names.filter { !known.contains($0) && !$0.hasPrefix(parameterPrefix) }
        let missing = known.filter { file[$0] == nil }
        for name in others {
            if let meant = NearestName.suggestions(for: name, among: missing).first {
                throw CommandFailure(
                    .data, "'\(path)' has a tensor '\(name)', which is no operand; did you mean '\(meant)'?",
                    advice: "rename or remove it")
            }
        }
        return others
    }
}
