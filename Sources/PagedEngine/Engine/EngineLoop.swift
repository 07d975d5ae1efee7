import Foundation
import Synchronization

/// A thread that steps an engine while it has work, and sleeps while it has none.
///
/// Callers on any thread hand requests in; news go out as they come.
final class EngineLoop: @unchecked Sendable {
    /// Where a request's news go.
    struct Listener {
        /// Whether the request waits for room in the queue; else a full queue refuses it.
        let waits: Bool
        /// Called when the request is in the queue.
        var accepted: @Sendable () -> Void = {}
        let delta: @Sendable (RequestDelta) -> Void
        let end: @Sendable (Result<RequestOutput, EngineError>) -> Void
    }

    private enum Order {
        case add(GenerationRequest, Listener)
        case cancel(Int)
        case ask(@Sendable (Engine) -> Void)
    }

    private let condition = NSCondition()
    private let latest: Mutex<EngineSnapshot>
    private var orders: [Order] = []
    private var isClosed = false
    private var nextId = 0

    /// Starts the thread; it owns the engine.
    init(_ engine: sending Engine) {
        latest = Mutex(EngineSnapshot(engine))
        let box = EngineBox(engine)
        let thread = Thread { [self] in
            run(box.engine)
        }
        thread.name = "engine"
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Hands a request in.
    /// - Returns: its number.
    func submit(
        _ prompt: Prompt, _ mode: GenerationRequest.Mode, priority: Int = 0, cacheSalt: String = "",
        listener: Listener
    ) -> Int {
        condition.lock()
        defer { condition.unlock() }
        let id = nextId
        nextId += 1
        guard !isClosed else {
            listener.end(.failure(.closed))
            return id
        }
        orders.append(
            .add(
                GenerationRequest(id: id, prompt: prompt, mode: mode, priority: priority, cacheSalt: cacheSalt),
                listener))
        condition.signal()
        return id
    }

    /// Ends a request before its next step.
    func cancel(_ id: Int) { order(.cancel(id)) }

    /// Calls `body` between two steps.
    func ask(_ body: @escaping @Sendable (Engine) -> Void) { order(.ask(body)) }

    /// What the engine was doing after its last step.
    var snapshot: EngineSnapshot { latest.withLock { $0 } }

    /// Ends every request, then the thread.
    func close() {
        condition.lock()
        isClosed = true
        condition.signal()
        condition.unlock()
    }

    private func order(_ order: Order) {
        condition.lock()
        orders.append(order)
        condition.signal()
        condition.unlock()
    }

    /// The orders since the last call; waits for one while the engine has nothing to do.
    ///
    /// `nil` when it is closed.
    private func next(isIdle: Bool) -> [Order]? {
        condition.lock()
        defer { condition.unlock() }
        while isIdle, orders.isEmpty, !isClosed { condition.wait() }
        let result = orders
        orders = []
        return isClosed ? nil : result
    }

    private func run(_ engine: Engine) {
        var listeners: [Int: Listener] = [:]
        // Requests that wait for room in the queue, in order.
        var backlog: [(GenerationRequest, Listener)] = []
        while let orders = next(isIdle: !engine.hasWork) {
            for order in orders { carryOut(order, engine, &listeners, &backlog) }
            admit(&backlog, engine, &listeners)
            if !orders.isEmpty { note(engine) }
            guard engine.hasWork else { continue }
            do throws(EngineError) {
                let events = try engine.step()
                // Whoever hears of an end finds the engine without that request.
                note(engine)
                for event in events { tell(event, &listeners) }
            } catch {
                // The model itself cannot run: nobody's request can.
                let all = listeners.sorted { $0.key < $1.key }
                listeners = [:]
                for (id, _) in all { _ = engine.cancel(id) }
                note(engine)
                for (_, listener) in all { listener.end(.failure(error)) }
            }
        }
        for (id, listener) in listeners {
            _ = engine.cancel(id)
            listener.end(.failure(.closed))
        }
        for (_, listener) in backlog { listener.end(.failure(.closed)) }
    }

    private func note(_ engine: Engine) {
        let snapshot = EngineSnapshot(engine)
        latest.withLock { $0 = snapshot }
    }

    /// Hands requests to the engine until its queue is full.
    private func admit(
        _ backlog: inout [(GenerationRequest, Listener)], _ engine: Engine, _ listeners: inout [Int: Listener]
    ) {
        var waiting: [(GenerationRequest, Listener)] = []
        for (request, listener) in backlog {
            do throws(EngineError) {
                // Those that wait keep their order.
                if !waiting.isEmpty, listener.waits {
                    waiting.append((request, listener))
                    continue
                }
                try engine.add(request)
                listeners[request.id] = listener
                listener.accepted()
            } catch {
                if listener.waits, case .scheduling(.queueFull) = error {
                    waiting.append((request, listener))
                } else {
                    listener.end(.failure(error))
                }
            }
        }
        backlog = waiting
    }

    private func carryOut(
        _ order: Order, _ engine: Engine, _ listeners: inout [Int: Listener],
        _ backlog: inout [(GenerationRequest, Listener)]
    ) {
        switch order {
        case .add(let request, let listener): backlog.append((request, listener))
        case .cancel(let id):
            if let index = backlog.firstIndex(where: { $0.0.id == id }) {
                backlog.remove(at: index).1.end(.failure(.closed))
            }
            guard let output = engine.cancel(id) else { return }
            listeners.removeValue(forKey: id)?.end(.success(output))
        case .ask(let body): body(engine)
        }
    }

    private func tell(_ event: EngineEvent, _ listeners: inout [Int: Listener]) {
        switch event {
        case .delta(let id, let delta): listeners[id]?.delta(delta)
        case .finished(let id, let output): listeners.removeValue(forKey: id)?.end(.success(output))
        case .failed(let id, let error): listeners.removeValue(forKey: id)?.end(.failure(error))
        }
    }
}

/// Hands the engine to its thread.
private final class EngineBox: @unchecked Sendable {
    let engine: Engine

    init(_ engine: Engine) { self.engine = engine }
}
