/// Why a scheduler refuses a request or a call.
///
/// After an error nothing has changed.
public enum SchedulerError: Error, Sendable, Hashable {
    /// A limit cannot be honoured.
    case invalidConfiguration(name: String, expected: String, actual: String)
    /// A part of a request cannot be honoured.
    case invalidRequest(request: Int, name: String, expected: String, actual: String)
    /// The prompt leaves no room for a token within the model's length.
    case promptTooLong(request: Int, tokens: Int, maxModelLen: Int)
    /// The request could never be in memory, even alone.
    case poolTooSmall(request: Int, pagesNeeded: Int, pagesAvailable: Int, bytesNeeded: Int, bytesAvailable: Int)
    /// So many requests wait that another may not.
    case queueFull(limit: Int)
    /// A request of this number is being worked on.
    case duplicateRequest(Int)
    /// No request of this number is being worked on.
    case unknownRequest(Int)
    /// A step has been scheduled whose results have not come.
    case stepInFlight
    /// Results came without a scheduled step.
    case noStepInFlight
    /// The result of a sequence is missing, came twice, or is not what the step asked for.
    case resultMismatch(sequence: Int, expected: String, actual: String)
    /// The block manager refused a call: a fault of the engine.
    case paging(String)
}

extension SchedulerError: CustomStringConvertible {
    /// One sentence: the place, what is there, what was expected.
    public var description: String {
        switch self {
        case .invalidConfiguration(let name, let expected, let actual):
            return "\(name) is \(actual); expected \(expected)"
        case .invalidRequest(let request, let name, let expected, let actual):
            return "request \(request): \(name) is \(actual); expected \(expected)"
        case .promptTooLong(let request, let tokens, let maxModelLen):
            return
                "request \(request): the prompt has \(tokens) tokens; expected at most \(maxModelLen - 1), one less than "
                + "maxModelLen = \(maxModelLen)"
        case .poolTooSmall(let request, let needed, let available, let bytesNeeded, let bytesAvailable):
            return
                "request \(request) may need \(needed) pages (\(bytesNeeded) bytes) at once; the pool has \(available) "
                + "(\(bytesAvailable) bytes)"
        case .queueFull(let limit):
            return "\(limit) requests are waiting already (maxQueue)"
        case .duplicateRequest(let request):
            return "request \(request) is being worked on already"
        case .unknownRequest(let request):
            return "there is no request \(request)"
        case .stepInFlight:
            return "a step is scheduled; expected its results before the next"
        case .noStepInFlight:
            return "no step is scheduled whose results could come"
        case .resultMismatch(let sequence, let expected, let actual):
            return "the result of sequence \(sequence) is \(actual); expected \(expected)"
        case .paging(let reason):
            return reason
        }
    }
}
