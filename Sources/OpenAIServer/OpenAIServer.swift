import Hummingbird
import HummingbirdCore
import HummingbirdTLS
public import Logging
import NIOCore
import NIOSSL
import ServiceLifecycle
import UnixSignals

/// A server of OpenAI's interface over the engine: completions, chats and embeddings, streamed as server-sent events.
///
///     let server = OpenAIServer(ServerConfiguration(version: "1"), logger: logger) { try openModel() }
///     try await server.run()
///
/// Requests of all clients share the engine's steps. A client that goes has its requests ended within one step. The server
/// ends at SIGTERM or SIGINT: running answers have ``ServerConfiguration/drainTimeout`` seconds.
public struct OpenAIServer: Sendable {
    private let configuration: ServerConfiguration
    private let logger: Logger
    private let load: @Sendable () throws -> ServedModel

    /// A server that does not listen yet.
    /// - Parameter load: opens the model; called once, on a thread of its own, while the server already answers `/health`.
    public init(
        _ configuration: ServerConfiguration, logger: Logger, load: @escaping @Sendable () throws -> ServedModel
    ) {
        self.configuration = configuration
        self.logger = logger
        self.load = load
    }

    /// Serves until the process is told to end.
    /// - Parameter listening: called with the address when connections are taken.
    /// - Throws: what `load` throws, or why the port or the certificate cannot be used.
    public func run(listening: @escaping @Sendable (_ url: String) -> Void = { _ in }) async throws {
        let state = ServerState(configuration)
        let application = Application(
            responder: ServerResponder(state, logger: logger), server: try builder(state),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port), serverName: "zoo",
                availableConnectionsDelegate: MaximumAvailableConnections(configuration.maxConnections)),
            onServerRunning: { channel in
                let scheme = configuration.tls == nil ? "http" : "https"
                let port = channel.localAddress?.port ?? configuration.port
                let host = configuration.host.contains(":") ? "[\(configuration.host)]" : configuration.host
                listening("\(scheme)://\(host):\(port)")
            }, logger: quiet)
        // Services end in the reverse order: first the answers, then connections, then the model.
        var group = ServiceGroupConfiguration(
            services: [
                .init(service: LoadingService(state: state, logger: logger, load: load)),
                .init(service: application),
                .init(service: DrainingService(state: state, logger: logger)),
            ], gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet)
        group.maximumGracefulShutdownDuration = .seconds(configuration.drainTimeout + 10)
        try await ServiceGroup(configuration: group).run()
    }

    /// Libraries tell of every step at level info; the server has its own lines.
    private var quiet: Logger {
        var result = logger
        result.logLevel = max(logger.logLevel, .warning)
        return result
    }

    private func builder(_ state: ServerState) throws -> HTTPServerBuilder {
        let connections = state.connections
        let http1 = HTTPServerBuilder.http1(
            configuration: .init(
                additionalChannelHandlers: [DepartureHandler(connections)],
                // A body that is late gets its refusal before the connection is closed.
                idleTimeout: .seconds(Int64(configuration.headerTimeout) + 2),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 64 << 10, maxHeaderFieldCount: 100)))
        guard let tls = configuration.tls else { return http1 }
        var options = try TLSConfiguration.makeServerConfiguration(
            certificateChain: NIOSSLCertificate.fromPEMFile(tls.certificate).map { .certificate($0) },
            privateKey: .privateKey(NIOSSLPrivateKey(file: tls.key, format: .pem)))
        options.minimumTLSVersion = .tlsv12
        return try .tls(http1, tlsConfiguration: options)
    }
}
