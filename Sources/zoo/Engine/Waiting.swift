import Dispatch

/// Runs asynchronous work to its end on a thread that has nothing else to do: a command's.
func waiting<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) throws -> Result {
    let done = DispatchSemaphore(value: 0)
    let box = ResultBox<Result>()
    Task.detached {
        do {
            box.result = .success(try await body())
        } catch {
            box.result = .failure(error)
        }
        done.signal()
    }
    done.wait()
    switch box.result {
    case .success(let value)?: return value
    case .failure(let error)?: throw error
    case nil: throw CommandFailure(.fault, "work ended without a result")
    }
}

/// Written before the semaphore is signalled, read after it was waited for.
private final class ResultBox<Result>: @unchecked Sendable {
    var result: Swift.Result<Result, any Error>?
}
