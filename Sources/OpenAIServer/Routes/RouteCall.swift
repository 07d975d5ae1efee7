import HTTPTypes
import HummingbirdCore
import NIOCore
import Tokenizers

/// One call of a route: the request, who asks, and the server's state.
struct RouteCall: Sendable {
    let request: Request
    /// The request's number, as headers and logs have it.
    let id: String
    /// The number of the API key.
    let holder: Int
    let state: ServerState
    let channel: any Channel
    /// What stands in the path behind the route's own part.
    var argument = ""

    /// The decoder.
    /// - Throws: `APIError` while there is none, or where the server has an encoder alone.
    func decoder() throws(APIError) -> ServedModel.Decoder {
        let served = try state.ready()
        guard let decoder = served.decoder else {
            throw .invalid(
                "model", "the model '\(served.names.first ?? "")' turns texts into vectors; expected a decoder",
                code: "unsupported_model")
        }
        return decoder
    }

    /// Refuses another model than the one that is served.
    func check(model: String?, _ name: String) throws(APIError) {
        if let model, model != name { throw .unknownModel(model, served: [name]) }
    }

    /// Cached pages are shared among requests of one API key and one salt.
    func salt(_ salt: String) -> String { "\(holder):\(salt)" }

    /// The request's body.
    /// - Throws: `APIError` for a body that is too large, too slow, or of another type.
    func body() async throws(APIError) -> [UInt8] {
        if let type = request.headers[.contentType] {
            let name = type.prefix { $0 != ";" }.lowercased().filter { $0 != " " }
            guard name == "application/json" || name.hasSuffix("+json") else { throw .unsupportedMedia(type) }
        }
        let limit = state.configuration.maxBodySize
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit {
            throw .tooLarge(limit: limit)
        }
        let seconds = state.configuration.headerTimeout
        do {
            return try await withThrowingTaskGroup(of: [UInt8].self) { group in
                group.addTask { [request] in
                    var bytes: [UInt8] = []
                    for try await part in request.body {
                        guard bytes.count + part.readableBytes <= limit else { throw APIError.tooLarge(limit: limit) }
                        bytes.append(contentsOf: part.readableBytesView)
                    }
                    return bytes
                }
                group.addTask {
                    try await Task.sleep(for: .seconds(seconds))
                    throw APIError.tooSlow(seconds: seconds)
                }
                defer { group.cancelAll() }
                return try await group.next() ?? []
            }
        } catch let error as APIError {
            throw error
        } catch {
            throw APIError(
                status: .badRequest, type: "invalid_request_error", message: "the body ended early: \(error)",
                code: "body_incomplete", closes: true)
        }
    }

    /// An answer in JSON.
    func json(_ value: JSON, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: value.jsonText)))
    }
}
