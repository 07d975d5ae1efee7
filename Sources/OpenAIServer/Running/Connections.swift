import NIOCore
import NIOHTTPTypes
import Synchronization

/// Open connections, and who wants to know when their clients go.
final class Connections: Sendable {
    private struct Entry {
        var isGone = false
        var observers: [Int: @Sendable () -> Void] = [:]
    }

    private let entries = Mutex<[ObjectIdentifier: Entry]>([:])
    private let numbers = Atomic(0)

    /// Calls `body` once when the client goes, at once where it has gone.
    /// - Returns: a number to take the wish back with.
    func whenGone(_ channel: any Channel, _ body: @escaping @Sendable () -> Void) -> Int {
        let number = numbers.wrappingAdd(1, ordering: .relaxed).newValue
        let isGone = entries.withLock { entries in
            guard let entry = entries[ObjectIdentifier(channel)], !entry.isGone else { return true }
            entries[ObjectIdentifier(channel)]?.observers[number] = body
            return false
        }
        if isGone { body() }
        return number
    }

    /// Forgets a wish.
    func forget(_ channel: any Channel, _ number: Int) {
        entries.withLock { _ = $0[ObjectIdentifier(channel)]?.observers.removeValue(forKey: number) }
    }

    fileprivate func opened(_ channel: any Channel) {
        entries.withLock { $0[ObjectIdentifier(channel)] = Entry() }
    }

    fileprivate func gone(_ channel: any Channel, closed: Bool) {
        let observers = entries.withLock { entries in
            let observers = entries[ObjectIdentifier(channel)]?.observers ?? [:]
            entries[ObjectIdentifier(channel)] = closed ? nil : Entry(isGone: true)
            return observers
        }
        for (_, body) in observers.sorted(by: { $0.key < $1.key }) { body() }
    }
}

/// Tells of a client that has closed its side: without it, only a failed write would tell.
final class DepartureHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart

    private let connections: Connections

    init(_ connections: Connections) { self.connections = connections }

    func handlerAdded(context: ChannelHandlerContext) { connections.opened(context.channel) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { connections.gone(context.channel, closed: false) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        connections.gone(context.channel, closed: true)
        context.fireChannelInactive()
    }
}
