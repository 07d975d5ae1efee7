import Synchronization

/// The tokens of words that were met before, shared by all who use a tokenizer.
final class WordCache: Sendable {
    private struct State {
        var words = ByteTable()
        /// Word k has `ids[starts[k]..<starts[k + 1]]`.
        var ids: [Int32] = []
        var starts = [0]
    }

    private let state = Mutex(State())

    /// The library keeps as many words; when they are full, all are forgotten.
    static let capacity = 10_000
    /// Longer words seldom come back; the library does not keep them either.
    static let longestWord = 256

    /// Appends the tokens of a word; false when the word is not here.
    func append(_ word: ArraySlice<UInt8>, to ids: inout [Int]) -> Bool {
        guard word.count <= Self.longestWord else { return false }
        return state.withLock { state in
            guard let number = state.words.find(word) else { return false }
            for id in state.ids[state.starts[number]..<state.starts[number + 1]] { ids.append(Int(id)) }
            return true
        }
    }

    /// Keeps the tokens of a word.
    func insert(_ word: ArraySlice<UInt8>, _ ids: ArraySlice<Int>) {
        guard word.count <= Self.longestWord else { return }
        state.withLock { state in
            if state.words.count >= Self.capacity {
                state.words.removeAll()
                state.ids.removeAll(keepingCapacity: true)
                state.starts = [0]
            }
            // Another thread may have been first.
            guard state.words.insert(word) == state.starts.count - 1 else { return }
            for id in ids { state.ids.append(Int32(truncatingIfNeeded: id)) }
            state.starts.append(state.ids.count)
        }
    }
}
