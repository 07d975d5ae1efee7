import Foundation
import HTTPTypes
import HummingbirdCore
import NIOCore
import PagedEngine
import ResourceBundle
import Tokenizers
import TransformerBlocks

/// Routes that tell about the server.
enum InformationRoutes {
    /// `/health`: 200 where requests are answered, 503 while the model is loaded and while the server ends.
    static func health(_ call: RouteCall) throws(APIError) -> Response {
        _ = try call.state.ready()
        return call.json(["status": "ok"])
    }

    static func version(_ call: RouteCall) -> Response {
        call.json(["version": .string(call.state.configuration.version)])
    }

    /// `/metrics`, in Prometheus' text format.
    static func metrics(_ call: RouteCall) -> Response {
        let served = call.state.served
        return Response(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
            body: ResponseBody(
                byteBuffer: ByteBuffer(
                    string: call.state.metrics.text(served?.decoder?.llm.snapshot, model: served))))
    }

    /// `/v1/models`.
    static func models(_ call: RouteCall) throws(APIError) -> Response {
        call.json(["object": "list", "data": .array(entries(try call.state.ready()).map(\.entry))])
    }

    /// `/v1/models/NAME`.
    static func model(_ call: RouteCall) throws(APIError) -> Response {
        let served = try call.state.ready()
        guard let found = entries(served).first(where: { $0.name == call.argument }) else {
            throw .unknownModel(call.argument, served: served.names)
        }
        return call.json(found.entry)
    }

    private static func entries(_ served: ServedModel) -> [(name: String, entry: JSON)] {
        var result: [(name: String, entry: JSON)] = []
        if let decoder = served.decoder {
            let operators = decoder.operators
            result.append(
                (
                    decoder.name,
                    [
                        "id": .string(decoder.name), "object": "model", "created": .integer(started), "owned_by": "zoo",
                        "max_model_len": .integer(decoder.llm.maxModelLen),
                        "attention": [
                            "prefill": .string(operators.prefill), "decode": .string(operators.decode),
                        ],
                    ]
                ))
        }
        if let encoder = served.encoder {
            result.append(
                (
                    encoder.name,
                    [
                        "id": .string(encoder.name), "object": "model", "created": .integer(started), "owned_by": "zoo",
                        "max_model_len": .integer(encoder.encoder.maximumLength),
                    ]
                ))
        }
        return result
    }

    private static let started = Int(Date().timeIntervalSince1970)

    /// The page and the document of the routes.
    static func resource(_ name: String, type: String, _ call: RouteCall) throws(APIError) -> Response {
        guard let path = ResourceBundle.path(of: "Resources/\(name)", module: "OpenAIServer"),
            let data = FileManager.default.contents(atPath: path)
        else {
            throw .fault("'\(name)' is not beside the executable, in AttentionZoo_OpenAIServer.resources")
        }
        var headers: HTTPFields = [.contentType: type]
        if type.hasPrefix("text/html") {
            headers[.contentSecurityPolicy] =
                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
                + "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            headers[.xContentTypeOptions] = "nosniff"
        }
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
    }
}
