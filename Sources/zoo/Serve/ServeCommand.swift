import ArgumentParser
import Foundation
import Logging
import OpenAIServer
import PagedEngine
import TransformerBlocks

/// `zoo serve`: an OpenAI-compatible server.
struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Serve a model by OpenAI's interface, streamed as server-sent events.",
        discussion: """
            Routes: /v1/completions, /v1/chat/completions, /v1/embeddings, /v1/models, /tokenize, /detokenize, /health,
            /metrics, /version, /openapi.json, and a page at /. Without --model, the model that comes with zoo is served.
            SIGTERM or SIGINT ends the server; running answers have --drain-timeout seconds.

            EXAMPLES
              zoo serve
              curl localhost:8000/v1/completions --json '{"prompt": "Once upon a time", "max_tokens": 20}'
              zoo serve --model Models/llama --port 9000 --api-key-file keys.txt --memory-utilization 0.7
              zoo serve --model Models/llama --attention '{"name": "paged"}' --kv-cache-dtype I8
              zoo serve --embedding-model Models/all-MiniLM-L6-v2 --tls-cert cert.pem --tls-key key.pem --host 0.0.0.0
            """)

    @Option(help: "The address to listen on; 0.0.0.0 lets other machines connect.")
    var host = "127.0.0.1"

    @Option(help: "The port; 0 takes a free one.")
    var port = 8000

    @Option(help: "A key that requests must carry; may be given several times. Others on this machine see it.")
    var apiKey: [String] = []

    @Option(help: ArgumentHelp("Read keys from a file, one on each line.", valueName: "file"))
    var apiKeyFile: String?

    @Option(help: ArgumentHelp("A certificate in PEM; with --tls-key.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The certificate's private key in PEM.", valueName: "file"))
    var tlsKey: String?

    @Option(help: "What clients call the model; by default its directory's name, or 'default'.")
    var servedModelName: String?

    @Option(help: ArgumentHelp("An encoder of the BERT family for /v1/embeddings.", valueName: "dir"))
    var embeddingModel: String?

    @Option(help: ArgumentHelp("A chat template of one's own, in a file.", valueName: "file"))
    var chatTemplate: String?

    @Option(help: "The most requests that wait for their first step; more are refused with 429.")
    var maxQueue = 256

    @Option(help: "The most bytes of a request's body.")
    var maxBodySize = ByteCount(argument: "2MiB")!

    @Option(help: "The most connections at once.")
    var maxConnections = 1024

    @Option(help: "Seconds that a request may take to arrive, and that an idle connection is kept.")
    var headerTimeout = 30

    @Option(help: "Seconds that an answer may take, waiting included.")
    var requestTimeout = 600

    @Option(help: "Seconds that a client may take to read a piece of a stream.")
    var writeTimeout = 60

    @Option(help: "Seconds between comments in a stream while nothing is ready.")
    var keepAlive = 15.0

    @Option(help: "Seconds that running answers have left when the server is told to end.")
    var drainTimeout = 30

    @Option(help: "What is logged to standard error: trace, debug, info, warning or error.")
    var logLevel = "info"

    @Option(help: "The seed that requests without one draw theirs from; by default a new one each time.")
    var seed: UInt64?

    @Flag(help: "Print the address as JSON.")
    var json = false

    @OptionGroup var engine: EngineArguments

    func validate() throws {
        for (name, value, least) in [
            ("--max-queue", maxQueue, 1), ("--max-connections", maxConnections, 1),
            ("--header-timeout", headerTimeout, 1),
            ("--request-timeout", requestTimeout, 1), ("--write-timeout", writeTimeout, 1),
            ("--drain-timeout", drainTimeout, 0), ("--max-body-size", maxBodySize.bytes, 1),
        ]
        where value < least {
            throw ValidationError("\(name) is \(value); expected a number from \(least) up.")
        }
        guard (0...65535).contains(port) else {
            throw ValidationError("--port is \(port); expected a number from 0 to 65535.")
        }
        guard keepAlive >= 0.05 else {
            throw ValidationError("--keep-alive is \(keepAlive); expected a number from 0.05 up.")
        }
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-cert and --tls-key belong together; one of them is missing.")
        }
        guard Logger.Level(rawValue: logLevel) != nil else {
            throw ValidationError("--log-level is '\(logLevel)'; expected trace, debug, info, warning or error.")
        }
    }

    func run() throws {
        var configuration = ServerConfiguration(version: Zoo.configuration.version)
        configuration.host = host
        configuration.port = port
        configuration.apiKeys = try keys()
        if let tlsCert, let tlsKey {
            for (option, path) in [("--tls-cert", tlsCert), ("--tls-key", tlsKey)]
            where !FileManager.default.isReadableFile(atPath: path) {
                throw CommandFailure(.data, "\(option) '\(path)' cannot be read")
            }
            configuration.tls = .init(certificate: tlsCert, key: tlsKey)
        }
        configuration.maxBodySize = maxBodySize.bytes
        configuration.maxConnections = maxConnections
        configuration.headerTimeout = headerTimeout
        configuration.requestTimeout = requestTimeout
        configuration.writeTimeout = writeTimeout
        configuration.keepAlive = keepAlive
        configuration.drainTimeout = drainTimeout
        var logger = Logger(label: "zoo", factory: StreamLogHandler.standardError(label:))
        logger.logLevel = Logger.Level(rawValue: logLevel) ?? .info
        let server = OpenAIServer(configuration, logger: logger) { [self] in try served() }
        let asJSON = json
        do {
            try waiting {
                try await server.run { url in
                    Terminal.out(asJSON ? "{\"url\": \"\(url)\"}\n" : "listening on \(url)\n")
                }
            }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(.data, "the server cannot run on \(host):\(port): \(error)")
        }
    }

    private func keys() throws -> [String] {
        var result = apiKey
        if let apiKeyFile {
            guard let text = try? String(contentsOfFile: apiKeyFile, encoding: .utf8) else {
                throw CommandFailure(.data, "--api-key-file '\(apiKeyFile)' cannot be read")
            }
            let lines = text.split(whereSeparator: \.isNewline).map { String($0).trimmingSpaces() }
            result += lines.filter { !$0.isEmpty }
            guard !result.isEmpty else { throw CommandFailure(.data, "--api-key-file '\(apiKeyFile)' has no key") }
        }
        if result.contains("") { throw CommandFailure(.usage, "--api-key is empty; expected a text") }
        return result
    }

    /// Opens what is served.
    private func served() throws -> ServedModel {
        var encoder: ServedModel.Encoder?
        if let embeddingModel {
            let registry = try engine.plugins.makeRegistry()
            let context = try engine.context()
            encoder = .init(
                name: Self.name(embeddingModel),
                encoder: try reporting {
                    try TextEncoder(directory: embeddingModel, registry: registry, context: context)
                })
            // An encoder alone is served where nothing else is asked for.
            if engine.model == nil { return ServedModel(decoder: nil, encoder: encoder) }
        }
        let directory = try engine.directory()
        let llm = try engine.llm(seed: seed ?? UInt64.random(in: .min ... .max), maxQueue: maxQueue)
        let (template, variables) = try ChatTemplateFile.read(directory, instead: chatTemplate)
        return ServedModel(
            decoder: .init(
                name: servedModelName ?? engine.model.map(Self.name) ?? "default", llm: llm, template: template,
                variables: variables), encoder: encoder)
    }

    private static func name(_ directory: String) -> String {
        URL(fileURLWithPath: directory).standardizedFileURL.lastPathComponent
    }
}
