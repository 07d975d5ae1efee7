import Foundation

extension Tokenizer {
    /// Builds GPT-2's tokenizer, which OPT has too, from `vocab.json` and `merges.txt` and what stands beside them.
    ///
    /// Without a `tokenizer.json` the flags `add_bos_token` and `add_eos_token` decide what frames a text, as in
    /// transformers.
    /// - Throws: ``TokenizerError``: a malformed file, another class of tokenizer, or a special token that the vocabulary
    ///   lacks.
    public init(mergesDirectory directory: String) throws(TokenizerError) {
        let path = directory + "/tokenizer_config.json"
        let settings = FileManager.default.fileExists(atPath: path) ? try JSONCursor(path: path) : nil
        let known = ["GPT2Tokenizer", "GPT2TokenizerFast"]
        if let kind = try settings?.optional("tokenizer_class"), !known.contains(try kind.string) {
            throw kind.unsupported("tokenizer_class", try kind.string, supported: known)
        }
        let file = directory + "/vocab.json"
        var vocabulary = Vocabulary()
        for (token, id) in try JSONCursor(path: file).fields { vocabulary.insert(token, id: try id.natural) }
        let model = try BPEModel(vocabulary, merges: try Self.merges(directory + "/merges.txt"), file: file)

        let beside = try TokenizerConfiguration(directory: directory)
        let standard = "<|endoftext|>"
        func number(_ role: String, _ token: String) throws(TokenizerError) -> Int {
            guard let id = vocabulary.id(of: token) else {
                throw .missingToken(file: file, role: role, token: token)
            }
            return id
        }
        var parts: [PostProcessor.Part] = [.sequence(typeId: 0)]
        if beside.addsBeginToken ?? false {
            let id = try number("bos_token", beside.beginToken ?? standard)
            parts.insert(.special(ids: [id], typeId: 0), at: 0)
        }
        if beside.addsEndToken ?? false {
            parts.append(.special(ids: [try number("eos_token", beside.endToken ?? standard)], typeId: 0))
        }
        var special: [AddedToken] = []
        for token in [
            beside.beginToken ?? standard, beside.endToken ?? standard, beside.unknownToken ?? standard,
            beside.padToken,
        ] {
            guard let token, let id = vocabulary.id(of: token), !special.contains(where: { $0.id == id }) else {
                continue
            }
            special.append(AddedToken(id: id, content: token))
        }
        try self.init(
            model: model, normalizer: nil,
            preTokenizer: .byteLevel(
                ByteLevel(addsPrefixSpace: try settings?.optional("add_prefix_space")?.bool ?? false)),
            postProcessor: PostProcessor(parts), decoder: .byteLevel, addedTokens: special)
    }

    /// The merges of a file: a line of two tokens for each, after a line with the version.
    private static func merges(_ path: String) throws(TokenizerError) -> [(left: String, right: String)] {
        var merges: [(left: String, right: String)] = []
        for (index, line) in try lines(path).enumerated() where !line.isEmpty && !line.hasPrefix("#version") {
            let sides = line.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard sides.count == 2 else {
                throw .invalidField(
                    file: path, field: "line \(index + 1)", expected: "two tokens with a blank between them",
                    actual: "'\(line)'")
            }
            merges.append((String(decoding: sides[0], as: UTF8.self), String(decoding: sides[1], as: UTF8.self)))
        }
        return merges
    }
}
