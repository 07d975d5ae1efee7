/// Byte pair encoding (Sennrich et al., 2016), byte-level as in GPT-2 or over characters with bytes to fall back on
/// as in SentencePiece: the vocabulary and the pre-tokenizer make the difference.
public struct BPEModel: TokenizerModel {
    /// What a model does beside merging.
    public struct Options: Sendable, Hashable {
        /// The token for characters that cannot be spelt; `nil` drops them.
        public var unknownToken: String?
        /// Whether unknown characters side by side make one unknown token.
        public var fusesUnknown = false
        /// Whether an unknown character becomes the tokens `<0x00>` to `<0xFF>` of its bytes.
        public var byteFallback = false
        /// Whether a word that is a token is taken whole, whatever the merges say.
        public var ignoresMerges = false
        /// What symbols other than a word's first begin with.
        public var continuingPrefix = ""
        /// What a word's last symbol ends with.
        public var wordSuffix = ""

        /// Nothing beside merging.
        public init() {}
    }

    /// Tokens and numbers.
    public let vocabulary: Vocabulary
    /// What the model does beside merging.
    public let options: Options
    private let merges: MergeTable
    private let unknownId: Int?
    /// Numbers of `<0x00>` to `<0xFF>`.
    private let byteIds: [Int?]
    private let cache = WordCache()

    /// A model.
    ///
    /// Cost: O(bytes of all tokens and merges).
    /// - Parameter merges: pairs of tokens, first come first merged.
    /// - Throws: ``TokenizerError/missingToken(file:role:token:)`` when the unknown token, a side of a merge or its
    ///   result is not in the vocabulary.
    public init(
        _ vocabulary: Vocabulary, merges: [(left: String, right: String)], options: Options = Options(),
        file: String = "BPE"
    ) throws(TokenizerError) {
        self.vocabulary = vocabulary
        self.options = options
        func number(_ bytes: ArraySlice<UInt8>, _ role: @autoclosure () -> String) throws(TokenizerError) -> Int {
            guard let id = vocabulary.id(of: bytes) else {
                throw .missingToken(file: file, role: role(), token: String(decoding: bytes, as: UTF8.self))
            }
            return id
        }
        unknownId = try options.unknownToken.map { (token) throws(TokenizerError) in
            try number(Array(token.utf8)[...], "the unknown token")
        }
        var table = MergeTable(capacity: merges.count)
        for (rank, merge) in merges.enumerated() {
            let left = Array(merge.left.utf8)
            let right = Array(merge.right.utf8)
            let whole = left + right.dropFirst(options.continuingPrefix.utf8.count)
            table.append(
                left: try number(left[...], "the left side of merge \(rank)"),
                right: try number(right[...], "the right side of merge \(rank)"),
                product: try number(whole[...], "the result of merge \(rank)"))
        }
        self.merges = table
        byteIds = (0..<256).map { vocabulary.id(of: Self.byteToken(UInt8($0))) }
    }

    /// The token of a byte that is fallen back on.
    static func byteToken(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return "<0x\(digits.count == 1 ? "0" : "")\(digits)>"
    }

    /// Appends the numbers of the tokens of one word.
    ///
    /// Cost: O(length) for a word met before, else O(length · log length).
    public func tokenize(_ word: ArraySlice<UInt8>, into ids: inout [Int]) {
        guard !word.isEmpty else { return }
        if options.ignoresMerges, let id = vocabulary.id(of: word) {
            ids.append(id)
            return
        }
        if cache.append(word, to: &ids) { return }
        let start = ids.count
        var merger = WordMerger()
        spell(word, &merger)
        merger.merge(merges, into: &ids)
        cache.insert(word, ids[start...])
    }

    private func spell(_ word: ArraySlice<UInt8>, _ merger: inout WordMerger) {
        var unknownWaits = false
        var start = word.startIndex
        while start < word.endIndex {
            var end = start + 1
            while end < word.endIndex, word[end] & 0xC0 == 0x80 { end += 1 }
            let symbol = word[start..<end]
            let isDressed =
                (start > word.startIndex && !options.continuingPrefix.isEmpty)
                || (end == word.endIndex && !options.wordSuffix.isEmpty)
            let dressed =
                isDressed ? dress(symbol, isFirst: start == word.startIndex, isLast: end == word.endIndex) : symbol
            start = end
            if let id = vocabulary.id(of: dressed) {
                if unknownWaits, let unknownId { merger.append(unknownId) }
                unknownWaits = false
                merger.append(id)
            } else if let bytes = fallback(dressed) {
                // An unknown character that waits is passed over by bytes, as in the library.
                for id in bytes { merger.append(id) }
            } else if let unknownId {
                if unknownWaits, !options.fusesUnknown { merger.append(unknownId) }
                unknownWaits = true
            }
        }
        if unknownWaits, let unknownId { merger.append(unknownId) }
    }

    private func dress(_ symbol: ArraySlice<UInt8>, isFirst: Bool, isLast: Bool) -> ArraySlice<UInt8> {
        var bytes = isFirst ? [] : Array(options.continuingPrefix.utf8)
        bytes += symbol
        if isLast { bytes += Array(options.wordSuffix.utf8) }
        return bytes[...]
    }

    private func fallback(_ symbol: ArraySlice<UInt8>) -> [Int]? {
        guard options.byteFallback else { return nil }
        var ids: [Int] = []
        for byte in symbol {
            guard let id = byteIds[Int(byte)] else { return nil }
            ids.append(id)
        }
        return ids
    }
}
