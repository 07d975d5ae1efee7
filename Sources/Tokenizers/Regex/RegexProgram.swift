/// A regular expression as instructions for a backtracking machine.
struct RegexProgram: Sendable {
    enum Instruction: Sendable {
        case scalar(UInt32)
        case folded(UInt32)
        case set(Int)
        /// Tries the first place, later the second.
        case branch(Int, Int)
        case jump(Int)
        /// Takes scalars of one set, as many as the greed says.
        case run(Int, minimum: Int, maximum: Int, RegexGreed)
        /// Tries the instructions up to `.match` before `end` on their own, `behind` scalars back.
        case look(behind: Int, isNegated: Bool, end: Int)
        case atomic(end: Int)
        case assertion(RegexAssertion)
        case match
    }

    private(set) var instructions: [Instruction] = []
    private(set) var sets: [ScalarSet] = []

    /// More than any pattern in use has; counts are done by copying, and copies of copies grow fast.
    private static let maximumLength = 20_000

    /// Compiles a pattern.
    init(_ node: RegexNode) throws(RegexFailure) {
        try emit(node)
        instructions.append(.match)
    }

    private mutating func emit(_ node: RegexNode) throws(RegexFailure) {
        guard instructions.count < Self.maximumLength else {
            throw RegexFailure(construct: "a pattern of more than \(Self.maximumLength) steps", offset: 0)
        }
        switch node {
        case .scalar(let value, let foldsCase): instructions.append(foldsCase ? .folded(value) : .scalar(value))
        case .set(let set): instructions.append(.set(add(set)))
        case .assertion(let kind): instructions.append(.assertion(kind))
        case .sequence(let items): for item in items { try emit(item) }
        case .alternatives(let items): try emit(alternatives: items[...])
        case .atomic(let body):
            let start = reserve()
            try emit(body)
            instructions.append(.match)
            instructions[start] = .atomic(end: instructions.count)
        case .look(let body, let isBehind, let isNegated):
            let start = reserve()
            try emit(body)
            instructions.append(.match)
            instructions[start] = .look(
                behind: isBehind ? body.width ?? 0 : 0, isNegated: isNegated, end: instructions.count)
        case .repeated(.set(let set), let minimum, let maximum, let greed):
            instructions.append(.run(add(set), minimum: minimum, maximum: maximum ?? .max, greed))
        case .repeated(let body, let minimum, let maximum, .possessive):
            try emit(.atomic(.repeated(body, minimum: minimum, maximum: maximum, .greedy)))
        case .repeated(let body, let minimum, let maximum, let greed):
            try emit(repeated: body, minimum, maximum, isGreedy: greed == .greedy)
        }
    }

    private mutating func emit(alternatives items: ArraySlice<RegexNode>) throws(RegexFailure) {
        var exits: [Int] = []
        for item in items.dropLast() {
            let start = reserve()
            try emit(item)
            exits.append(reserve())
            instructions[start] = .branch(start + 1, instructions.count)
        }
        if let last = items.last { try emit(last) }
        for exit in exits { instructions[exit] = .jump(instructions.count) }
    }

    private mutating func emit(
        repeated body: RegexNode, _ minimum: Int, _ maximum: Int?, isGreedy: Bool
    ) throws(RegexFailure) {
        for _ in 0..<minimum { try emit(body) }
        guard let maximum else {
            let start = reserve()
            try emit(body)
            instructions.append(.jump(start))
            let end = instructions.count
            instructions[start] = isGreedy ? .branch(start + 1, end) : .branch(end, start + 1)
            return
        }
        var starts: [Int] = []
        for _ in minimum..<max(minimum, maximum) {
            starts.append(reserve())
            try emit(body)
        }
        let end = instructions.count
        for start in starts { instructions[start] = isGreedy ? .branch(start + 1, end) : .branch(end, start + 1) }
    }

    private mutating func reserve() -> Int {
        instructions.append(.match)
        return instructions.count - 1
    }

    private mutating func add(_ set: ScalarSet) -> Int {
        sets.append(set)
        return sets.count - 1
    }
}
