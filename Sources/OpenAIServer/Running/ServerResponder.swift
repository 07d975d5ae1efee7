import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// What is known of a request besides itself: the client's connection.
struct ServerContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }
}

/// Answers requests: finds the route, asks for the key, and turns refusals into error objects.
struct ServerResponder: HTTPResponder {
    private typealias Route = @Sendable (RouteCall) async throws(APIError) -> Response

    private let state: ServerState
    private let keys: APIKeys
    private let logger: Logger

    init(_ state: ServerState, logger: Logger) {
        self.state = state
        self.logger = logger
        keys = APIKeys(state.configuration.apiKeys)
    }

    func respond(to request: Request, context: ServerContext) async throws -> Response {
        let begin = ContinuousClock.now
        let id = Self.requestId(request)
        var response: Response
        do throws(APIError) {
            response = try await answer(request, id, context)
        } catch {
            response = refusal(error, context.channel)
        }
        response.headers[.init("x-request-id")!] = id
        logger.info(
            "\(request.method.rawValue) \(Self.path(request))",
            metadata: [
                "request": "\(id)", "status": "\(response.status.code)",
                "ms": "\(Int((ContinuousClock.now - begin).seconds * 1000))",
            ])
        return response
    }

    private func answer(_ request: Request, _ id: String, _ context: ServerContext) async throws(APIError) -> Response {
        let path = Self.path(request)
        guard let (routes, argument, isOpen) = Self.routes(path) else {
            // Whoever has no key does not learn what there is.
            _ = try holder(request)
            throw .notFound(path)
        }
        let holder = isOpen ? 0 : try holder(request)
        guard let route = routes[request.method.rawValue] else {
            throw .methodNotAllowed(request.method.rawValue, allowed: routes.keys.sorted())
        }
        return try await route(
            RouteCall(
                request: request, id: id, holder: holder, state: state, channel: context.channel, argument: argument))
    }

    private func holder(_ request: Request) throws(APIError) -> Int {
        guard let holder = keys.holder(request.headers[.authorization]) else { throw .unauthorized }
        return holder
    }

    /// What a path answers, by method; what follows the route in the path; and whether it is open to those without a key.
    private static func routes(_ path: String) -> ([String: Route], String, Bool)? {
        let models = "/v1/models/"
        if path.hasPrefix(models), path.count > models.count {
            return (
                ["GET": { (call) throws(APIError) in try InformationRoutes.model(call) }],
                String(path.dropFirst(models.count)), false
            )
        }
        return table[path].map { ($0.routes, "", $0.isOpen) }
    }

    private static let table: [String: (routes: [String: Route], isOpen: Bool)] = [
        "/": (
            [
                "GET": { (call) throws(APIError) in
                    try InformationRoutes.resource("page.html", type: "text/html; charset=utf-8", call)
                }
            ], true
        ),
        "/health": (["GET": { (call) throws(APIError) in try InformationRoutes.health(call) }], true),
        "/metrics": (["GET": { (call) throws(APIError) in InformationRoutes.metrics(call) }], false),
        "/version": (["GET": { (call) throws(APIError) in InformationRoutes.version(call) }], false),
        "/openapi.json": (
            [
                "GET": { (call) throws(APIError) in
                    try InformationRoutes.resource("openapi.json", type: "application/json", call)
                }
            ], false
        ),
        "/v1/models": (["GET": { (call) throws(APIError) in try InformationRoutes.models(call) }], false),
        "/v1/completions": (
            ["POST": { (call) throws(APIError) in try await CompletionRoute.respond(call) }], false
        ),
        "/v1/chat/completions": (["POST": { (call) throws(APIError) in try await ChatRoute.respond(call) }], false),
        "/v1/embeddings": (["POST": { (call) throws(APIError) in try await EmbeddingRoute.respond(call) }], false),
        "/tokenize": (["POST": { (call) throws(APIError) in try await TokenRoutes.tokenize(call) }], false),
        "/detokenize": (["POST": { (call) throws(APIError) in try await TokenRoutes.detokenize(call) }], false),
    ]

    private func refusal(_ error: APIError, _ channel: any Channel) -> Response {
        var headers: HTTPFields = [.contentType: "application/json"]
        for (name, value) in error.headers { headers[name] = value }
        let text = ByteBuffer(string: error.json.jsonText)
        guard error.closes else {
            return Response(status: error.status, headers: headers, body: ResponseBody(byteBuffer: text))
        }
        headers[.connection] = "close"
        return Response(
            status: error.status, headers: headers,
            body: ResponseBody(contentLength: text.readableBytes) { writer in
                try await writer.write(text)
                try await writer.finish(nil)
                // Closing at once would take the answer away from a client that is still sending.
                Task {
                    try? await Task.sleep(for: .seconds(2))
                    channel.close(promise: nil)
                }
            })
    }

    /// The client's number for the request, where it is fit to be repeated, or a new one.
    private static func requestId(_ request: Request) -> String {
        if let given = request.headers[.init("x-request-id")!], (1...128).contains(given.utf8.count),
            given.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        {
            return given
        }
        return UUID().uuidString.lowercased().filter { $0 != "-" }
    }

    private static func path(_ request: Request) -> String {
        request.uri.path.removingPercentEncoding ?? request.uri.path
    }
}
