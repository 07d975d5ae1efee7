/// The rows of a step whose logits are wanted, and where they come out.
struct StepRows {
    /// Rows of the batch, in the order of the logits.
    private(set) var wanted: [Int] = []
    private var prompts: [Range<Int>] = []
    private var lasts: [Int?] = []

    init(_ sequences: [ScheduledSequence]) {
        var start = 0
        for sequence in sequences {
            let first = wanted.count
            for position in sequence.promptRows { wanted.append(start + position - sequence.start) }
            prompts.append(first..<wanted.count)
            if sequence.demand == .nothing {
                lasts.append(nil)
            } else {
                lasts.append(wanted.count)
                wanted.append(start + sequence.tokens.count - 1)
            }
            start += sequence.tokens.count
        }
    }

    /// Rows of the logits that belong to a sequence's prompt.
    func promptRows(_ sequence: Int) -> Range<Int> { prompts[sequence] }

    /// The row of the logits that says how a sequence goes on.
    func lastRow(_ sequence: Int) -> Int? { lasts[sequence] }
}
