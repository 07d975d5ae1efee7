public import Tokenizers
public import TransformerBlocks

/// Why an engine cannot be made, or a request cannot be answered.
public enum EngineError: Error, Sendable {
    /// An option has a value that cannot be honoured.
    case invalidOption(name: String, expected: String, actual: String)
    /// Something is asked for that is not built.
    case unsupported(what: String, reason: String)
    /// The memory that the engine may use is too little, or more than there is.
    case memory(needed: Int, available: Int, explanation: String)
    /// No room for swapped pages.
    case swapSpace(directory: String?, bytes: Int, reason: String)
    /// The model cannot be opened or run.
    case model(ModelError)
    /// The tokenizer cannot be opened or run.
    case tokenizer(TokenizerError)
    /// The parameters of sampling, or the logits, cannot be honoured.
    case sampling(SamplingError)
    /// The request cannot be scheduled.
    case scheduling(SchedulerError)
    /// The engine has been closed.
    case closed
}

extension EngineError: CustomStringConvertible {
    /// One sentence: what is wrong, what was expected, what to do next.
    public var description: String {
        switch self {
        case .invalidOption(let name, let expected, let actual):
            return "\(name) is \(actual); expected \(expected)"
        case .unsupported(let what, let reason):
            return "\(what) is not supported: \(reason)"
        case .memory(let needed, let available, let explanation):
            return "\(explanation): \(needed) bytes are needed, \(available) are available"
        case .swapSpace(let directory, let bytes, let reason):
            return "no swap space of \(bytes) bytes in \(directory.map { "'\($0)'" } ?? "memory"): \(reason)"
        case .model(let error): return error.description
        case .tokenizer(let error): return error.description
        case .sampling(let error): return error.description
        case .scheduling(let error): return error.description
        case .closed: return "the engine has been closed"
        }
    }
}

extension EngineError {
    static func model<Result>(_ body: () throws(ModelError) -> Result) throws(EngineError) -> Result {
        do { return try body() } catch { throw .model(error) }
    }

    static func tokenizer<Result>(_ body: () throws(TokenizerError) -> Result) throws(EngineError) -> Result {
        do { return try body() } catch { throw .tokenizer(error) }
    }

    static func sampling<Result>(_ body: () throws(SamplingError) -> Result) throws(EngineError) -> Result {
        do { return try body() } catch { throw .sampling(error) }
    }

    static func scheduling<Result>(_ body: () throws(SchedulerError) -> Result) throws(EngineError) -> Result {
        do { return try body() } catch { throw .scheduling(error) }
    }
}
