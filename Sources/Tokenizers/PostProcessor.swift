/// What is put around the tokens of a text: for BERT `[CLS]` before and `[SEP]` after.
public struct PostProcessor: Sendable, Hashable {
    /// A part of the result.
    public enum Part: Sendable, Hashable {
        /// Tokens that are always there.
        case special(ids: [Int], typeId: Int)
        /// The text's own tokens.
        case sequence(typeId: Int)
    }

    /// The parts in order; exactly one is the sequence.
    public let parts: [Part]

    /// A template.
    public init(_ parts: [Part]) { self.parts = parts }

    /// Nothing around the text.
    public static let none = PostProcessor([.sequence(typeId: 0)])

    /// `[CLS] text [SEP]`.
    public static func bert(classification: Int, separator: Int) -> PostProcessor {
        PostProcessor([
            .special(ids: [classification], typeId: 0), .sequence(typeId: 0), .special(ids: [separator], typeId: 0),
        ])
    }

    /// How many tokens are always added.
    public var addedCount: Int {
        parts.reduce(0) { count, part in
            if case .special(let ids, _) = part { return count + ids.count }
            return count
        }
    }

    /// The framed tokens, and for each the number of its segment.
    func frame(_ content: [Int]) -> (ids: [Int], typeIds: [Int]) {
        var ids: [Int] = []
        var typeIds: [Int] = []
        for part in parts {
            switch part {
            case .special(let added, let typeId):
                ids += added
                typeIds += Array(repeating: typeId, count: added.count)
            case .sequence(let typeId):
                ids += content
                typeIds += Array(repeating: typeId, count: content.count)
            }
        }
        return (ids, typeIds)
    }
}
