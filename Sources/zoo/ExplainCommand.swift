import ArgumentParser
import AttentionCore
import AttentionOperators
import BenchHarness
import TensorCore

/// `zoo explain`: who can run a problem, and why not the others.
struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Show which operators can run a problem, which one 'auto' takes, and why not the others.",
        discussion: """
            EXAMPLES
              zoo explain --heads 32 --kv-heads 8 --length 4096 --head-dim 128 --causal
              zoo explain --length 16384 --window 255,0 --dtype BF16
              zoo explain --length 8192 --max-bytes 32MiB
              zoo explain --batch 64 --heads 32 --kv-heads 8 --query-length 1 --key-length 2048 --page-size 16
              zoo explain --heads 32 --kv-heads 8 --query-length 1 --key-length 8192 --json
            """)

    @OptionGroup var problem: ProblemOptions
    @OptionGroup var memory: MemoryOptions
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var machine: MachineOptions
    @OptionGroup var format: FormatOptions

    func run() throws {
        let context = memory.limit(try machine.context(explores: false))
        let explanation = Dispatcher.explain(
            try problem.problem(), registry: try plugins.makeRegistry(), context: context)
        if format.json {
            Terminal.out(Output.json(explanation))
            return
        }
        var table = TextTable([
            .init(""), .init("operator"), .init("priority", .right, dropOrder: 3), .init("tile", dropOrder: 2),
            .init("tasks", .right, dropOrder: 4), .init("working memory", .right, dropOrder: 5),
            .init("at the peak", .right, dropOrder: 1),
        ])
        for candidate in explanation.candidates {
            if let plan = candidate.plan {
                table.add([
                    candidate.mark, candidate.id, "\(candidate.priority)",
                    "\(plan.queryTile) x \(plan.keyTile)", "\(plan.tasks)", Quantity.bytes(plan.workspaceBytes),
                    Quantity.bytes(plan.peakBytes),
                ])
            } else {
                let reasons = candidate.reasons.map(\.description).joined(separator: "; ")
                table.addNote(["-", candidate.id], reasons)
            }
        }
        let width = Terminal.width
        Terminal.out("problem  \(explanation.problem)\nchosen   \(explanation.chosen ?? "none")\n\n")
        Terminal.out(table.render(width: width))
        Terminal.out(
            "\n* taken by 'auto'   + can run it   ~ computes something else, for those who name it   - cannot, and why\n"
        )
    }
}

/// A problem in arguments.
struct ProblemOptions: ParsableArguments {
    @Option(help: "Query heads.")
    var heads = 8

    @Option(help: "Key and value heads; divides the query heads. By default as many.")
    var kvHeads: Int?

    @Option(help: "Queries and keys.")
    var length: Int?

    @Option(help: "Queries.")
    var queryLength: Int?

    @Option(help: "Keys.")
    var keyLength: Int?

    @Option(help: "The extent of a query and key head.")
    var headDim = 64

    @Option(help: "The extent of a value head; by default the head dim.")
    var valueDim: Int?

    @Option(help: "Sequences.")
    var batch = 1

    @Option(help: "The element type.")
    var dtype = ElementArgument.float32

    @Flag(help: "No query sees a later key.")
    var causal = false

    @Option(help: "Where the causal diagonal ends.")
    var corner = CornerArgument.bottomRight

    @Option(
        parsing: .unconditional, help: "Keys left and right of each query's place, for example 255,0; -1 is unlimited.")
    var window: WindowArgument?

    @Option(help: "Squash scores by softcap · tanh(score / softcap).")
    var softcap: Float?

    @Option(help: "The probability of dropping a weight.")
    var dropout: Float = 0

    @Flag(help: "There is an additive bias.")
    var bias = false

    @Flag(help: "There is a Bool mask tensor.")
    var denseMask = false

    @Flag(help: "Keys are padded: each sequence has a length of its own.")
    var paddedKeys = false

    @Flag(help: "Queries are padded too.")
    var paddedQueries = false

    @Option(help: "Keys and values lie in pages of so many keys, each sequence's in pages of its own.")
    var pageSize: Int?

    @Flag(help: "Scores fall off linearly with distance.")
    var alibi = false

    @Flag(help: "Each head has a sink.")
    var sinks = false

    @Flag(help: "Keys and values are INT8 with a scale for each key and head.")
    var int8Keys = false

    func validate() throws {
        let extents = [
            ("--heads", heads), ("--kv-heads", kvHeads ?? 1), ("--head-dim", headDim), ("--value-dim", valueDim ?? 1),
            ("--batch", batch),
        ]
        for (name, value) in extents where value < 1 {
            throw ValidationError("\(name) is \(value); expected a number from 1 up.")
        }
        for (name, value) in [("--length", length), ("--query-length", queryLength), ("--key-length", keyLength)] {
            if let value, value < 0 { throw ValidationError("\(name) is \(value); expected a number from 0 up.") }
        }
        if let pageSize, !(1...Int(Int32.max)).contains(pageSize) {
            throw ValidationError("--page-size is \(pageSize); expected a number from 1 to \(Int32.max).")
        }
        if let kvHeads, heads % kvHeads != 0 {
            throw ValidationError("--heads is \(heads); expected a multiple of --kv-heads, which is \(kvHeads).")
        }
    }

    func problem() throws -> AttentionProblem {
        var parts: [AttentionMask] = causal ? [.causal(corner.mask)] : []
        if let window, window.left >= 0 || window.right >= 0 {
            parts.append(
                .window(
                    left: window.left < 0 ? nil : window.left, right: window.right < 0 ? nil : window.right,
                    corner: corner.mask))
        }
        let mask: AttentionMask = parts.isEmpty ? .full : parts.count == 1 ? parts[0] : .and(parts)
        let options = AttentionOptions(mask: mask, softcap: softcap, dropout: dropout)
        try reporting { try options.validate() }
        let queries = queryLength ?? length ?? keyLength ?? 1024
        let keys = keyLength ?? length ?? queries
        let pages = pageSize.map { PageLayout(pages: batch * ((keys + $0 - 1) / $0), pageSize: $0) }
        let scores = Shape([batch, heads, queries, keys])
        return AttentionProblem(
            batch: batch, queryLength: queries, keyLength: keys, heads: heads, kvHeads: kvHeads, headDim: headDim,
            valueDim: valueDim, dtype: dtype.dtype, options: options,
            queryLengths: paddedQueries ? Array(repeating: queries, count: batch) : nil,
            keyLengths: paddedKeys || pages != nil ? Array(repeating: keys, count: batch) : nil,
            biasShape: bias ? scores : nil,
            maskShape: denseMask ? scores : nil, hasALiBi: alibi, hasSinks: sinks,
            hasInt8Keys: int8Keys, pages: pages)
    }
}

/// A corner of the score matrix in an argument.
enum CornerArgument: String, ExpressibleByArgument, CaseIterable {
    case bottomRight = "bottom-right"
    case topLeft = "top-left"

    var mask: MaskCorner { self == .bottomRight ? .bottomRight : .topLeft }
}
