/// Tokens and their numbers.
///
/// Tokens are told apart by their bytes, not by canonical equivalence as `String` does.
public struct Vocabulary: Sendable {
    private var tokens = ByteTable()
    private var ids: [Int] = []
    /// Token of each small number plus one; 0 is none.
    private var dense: [Int32] = []
    /// Tokens of numbers so large that a table would be mostly empty.
    private var sparse: [Int: Int32] = [:]
    /// One more than the largest number.
    public private(set) var size = 0

    /// A vocabulary of 2²² tokens is sixteen times the largest known one; its table takes 16 MB.
    private static let denseLimit = 1 << 22

    /// An empty vocabulary.
    public init() {}

    /// Tokens numbered in order.
    public init(_ tokens: [String]) {
        for (id, token) in tokens.enumerated() { insert(token, id: id) }
    }

    /// Adds a token, or gives it another number, from 0 to `Int32.max`.
    ///
    /// Cost: O(bytes of the token) amortised.
    public mutating func insert(_ token: String, id: Int) {
        let number = tokens.insert(Array(token.utf8)[...])
        if number == ids.count { ids.append(id) } else { ids[number] = id }
        size = max(size, id + 1)
        guard id < Self.denseLimit else {
            sparse[id] = Int32(number + 1)
            return
        }
        if id >= dense.count { dense.append(contentsOf: repeatElement(0, count: id + 1 - dense.count)) }
        dense[id] = Int32(number + 1)
    }

    /// The number of distinct tokens.
    public var count: Int { tokens.count }

    /// The number of a token, or `nil`.
    public func id(of token: String) -> Int? { id(of: Array(token.utf8)[...]) }

    /// The token of a number, or `nil`.
    public func token(of id: Int) -> String? { bytes(of: id).map { String(decoding: $0, as: UTF8.self) } }

    /// The number of a token given as UTF-8, or `nil`.
    func id(of token: ArraySlice<UInt8>) -> Int? { tokens.find(token).map { ids[$0] } }

    /// The UTF-8 of the token of a number, or `nil`.
    func bytes(of id: Int) -> ArraySlice<UInt8>? {
        let number = dense.indices.contains(id) ? dense[id] : sparse[id] ?? 0
        return number == 0 ? nil : tokens[Int(number) - 1]
    }

    /// Every token's UTF-8 and number.
    var entries: some Sequence<(bytes: ArraySlice<UInt8>, id: Int)> {
        ids.indices.lazy.map { (tokens[$0], ids[$0]) }
    }
}
