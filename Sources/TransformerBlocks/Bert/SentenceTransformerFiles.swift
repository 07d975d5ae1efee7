import AttentionCore
import Foundation

/// What the sentence-transformers files of a directory say: how tokens' rows become one, and how long texts may be.
struct SentenceTransformerFiles {
    /// Layers after the encoder.
    let layers: [LayerNode]
    /// The most tokens of a text, when the files limit it.
    let maximumLength: Int?

    /// Pooling modes in the order in which sentence-transformers joins them, by their fields.
    private static let modes: [(field: String, mode: Pooling.Mode)] = [
        ("pooling_mode_cls_token", .cls), ("pooling_mode_max_tokens", .max), ("pooling_mode_mean_tokens", .mean),
    ]

    /// Reads the files of a directory; without `modules.json` the rows are averaged, as sentence-transformers does.
    /// - Throws: ``ModelError``.
    init(directory: String, width: Int, lowercases: Bool) throws(ModelError) {
        let bert = try JSONFile.optional(path: directory + "/sentence_bert_config.json")
        maximumLength = try bert?.optionalPositive("max_seq_length")
        if let bert, try bert.flag("do_lower_case") ?? false, !lowercases {
            throw bert.failure("do_lower_case", "false, or a tokenizer that lowercases")
        }
        let path = directory + "/modules.json"
        guard FileManager.default.fileExists(atPath: path) else {
            layers = [.pooling(Pooling(.mean))]
            return
        }
        guard case .array(let modules) = try JSONFile.value(path) else {
            throw .invalidField(place: path, field: "the document", expected: "a list", actual: "something else")
        }
        var layers: [LayerNode] = []
        for (index, module) in modules.enumerated() {
            guard case .object(let fields) = module, case .string(let type) = fields["type"],
                case .string(let folder) = fields["path"]
            else {
                throw .invalidField(
                    place: path, field: "[\(index)]", expected: "an object with type and path", actual: module.jsonText)
            }
            switch (type.split(separator: ".").last, index) {
            case ("Transformer", 0): continue
            case ("Pooling", _):
                layers.append(.pooling(try Self.pooling(directory + "/" + folder + "/config.json", width: width)))
            case ("Normalize", _): layers.append(.normalize(Normalize()))
            default:
                throw .invalidField(
                    place: path, field: "[\(index)].type",
                    expected: index == 0 ? "a Transformer" : "Pooling or Normalize", actual: "\"\(type)\"")
            }
        }
        self.layers = layers
    }

    private static func pooling(_ path: String, width: Int) throws(ModelError) -> Pooling {
        let file = try JSONFile(path: path)
        guard try file.optionalPositive("word_embedding_dimension") ?? width == width else {
            throw file.failure("word_embedding_dimension", "\(width), the encoder's width")
        }
        for field in ["mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
        where try file.flag("pooling_mode_" + field) ?? false {
            throw file.failure("pooling_mode_" + field, "false: built are cls, max and mean")
        }
        var chosen: [Pooling.Mode] = []
        for (field, mode) in modes where try file.flag(field) ?? false { chosen.append(mode) }
        guard !chosen.isEmpty else {
            throw file.failure(
                modes[2].field, "true, or one of " + modes.prefix(2).map(\.field).joined(separator: ", "))
        }
        return Pooling(chosen)
    }
}
