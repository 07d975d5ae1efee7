import AttentionCore
import Foundation

/// A study in words and tables, for people who were not there.
public enum AdviceText {
    /// For a terminal.
    /// - Parameter width: the terminal's; `nil` sets no limit.
    public static func page(_ advice: Advice, width: Int? = nil) -> String {
        let limit = min(width ?? 110, 110)
        var text = heading(advice).map { $0 + "\n" }.joined() + "\n"
        text += "WHAT TO CHOOSE\n"
        for line in conclusions(advice) {
            text += TextWidth.wrap(line, to: limit - 2).enumerated()
                .map { ($0 == 0 ? "- " : "  ") + $1 + "\n" }.joined()
        }
        text += "\nTHE MODEL AT LARGE (all layers together)\n" + table(advice.whole, width: width)
        text += "\nLAYER BY LAYER: the quickest within an error\n" + layerTable(advice, width: width)
        let refusals = refused(advice)
        if !refusals.isEmpty {
            text += "\nWHO CANNOT RUN THIS, AND WHY\n"
            for (name, why) in refusals {
                text += TextWidth.wrap("\(name): \(why)", to: limit - 2).enumerated()
                    .map { ($0 == 0 ? "- " : "  ") + $1 + "\n" }.joined()
            }
        }
        text += "\nHOW TO READ THIS\n"
        text += TextWidth.wrap(legend, to: limit).map { $0 + "\n" }.joined()
        return text
    }

    /// The same as Markdown.
    public static func markdown(_ advice: Advice) -> String {
        var lines = ["# Which attention fits \(advice.model)", ""]
        lines += heading(advice).dropFirst().map { $0 + "  " } + ["", "## What to choose", ""]
        lines += conclusions(advice).map { "- " + $0 } + ["", "## The model at large", ""]
        lines += pipes(
            ["", "operator", "time", "to full", "error", "memory", "result"],
            advice.whole.filter { $0.error != nil }.map { cells($0, base: base(advice.whole)) })
        lines += ["", "## Layer by layer", "", "The quickest within an error:", ""]
        let layers = layerCells(advice)
        lines += pipes(layers.titles, layers.rows)
        let refusals = refused(advice)
        if !refusals.isEmpty {
            lines += ["", "## Who cannot run this, and why", ""] + refusals.map { "- `\($0.0)`: \($0.1)" }
        }
        return (lines + ["", "## How to read this", "", legend, ""]).joined(separator: "\n")
    }

    /// An error as a part of the whole.
    static func part(_ error: Double) -> String {
        switch error {
        case ...0: "0"
        case ..<1e-4: String(format: "%.1e", error)
        case ..<0.01: String(format: "%.2f %%", error * 100)
        default: String(format: "%.1f %%", error * 100)
        }
    }

    private static func heading(_ advice: Advice) -> [String] {
        let lengths = Set(advice.layers.map(\.length)).sorted().map(String.init).joined(separator: ", ")
        return [
            "Which attention fits \(advice.model)?",
            "text of \(lengths) tokens; \(Set(advice.layers.map(\.place)).count) attention layers; "
                + (advice.layers.first?.problem ?? ""),
            "\(advice.machine.cpu), kernels \(advice.machine.isa), \(advice.machine.threads) "
                + (advice.machine.threads == 1 ? "thread" : "threads"),
        ]
    }

    /// What follows, one sentence or two for each thing that a reader may want.
    public static func conclusions(_ advice: Advice) -> [String] {
        guard let exact = advice.choices.first?.best, let exactTime = exact.seconds else {
            return ["No operator computes the model's attention exactly; see the reasons below."]
        }
        var lines: [String] = []
        let full = base(advice.whole)
        var first = "Nothing lost: choose `\(exact.name)`. It takes \(Quantity.seconds(exactTime)) for all layers"
        if let full, let fullTime = full.seconds, full.name != exact.name {
            first += ", \(Quantity.ratio(fullTime / exactTime)) as quick as `full`"
            if let own = exact.peakBytes, let other = full.peakBytes {
                first += ", in \(Quantity.bytes(own)) of memory instead of \(Quantity.bytes(other))"
            }
        }
        lines.append(first + "; its error is rounding.")
        var previous = exact
        for choice in advice.choices.dropFirst() {
            guard let best = choice.best, let seconds = best.seconds, let error = best.error else { continue }
            if best.name == previous.name {
                lines.append(
                    "Up to \(part(choice.limit)) of error: still `\(best.name)`; nothing that errs more is quicker.")
                continue
            }
            var line =
                "Up to \(part(choice.limit)) of error: `\(best.name)` takes \(Quantity.seconds(seconds)), "
                + "\(Quantity.ratio(exactTime / seconds)) as quick as `\(exact.name)`, and errs by \(part(error))"
            if let cosine = best.resultCosine {
                line += String(format: "; the model's own result keeps a cosine of %.4f", cosine)
            }
            if !best.initialised.isEmpty { line += "; its own tensors are untrained" }
            lines.append(line + ".")
            previous = best
        }
        lines += byResult(advice, exact, exactTime)
        if let least = advice.whole.filter({ ($0.error ?? .infinity) <= Advice.rounding }).min(by: {
            ($0.peakBytes ?? .max, $0.seconds ?? 0) < ($1.peakBytes ?? .max, $1.seconds ?? 0)
        }), let bytes = least.peakBytes {
            lines.append("Least memory without loss: `\(least.name)`, \(Quantity.bytes(bytes)) at its peak.")
        }
        lines.append(caution(advice, exact))
        return lines
    }

    /// What to choose when the model's final vector is all that counts.
    private static func byResult(_ advice: Advice, _ exact: Advice.Result, _ exactTime: Double) -> [String] {
        guard advice.whole.contains(where: { $0.resultCosine != nil }) else { return [] }
        var lines: [String] = []
        var previous = exact
        for cosine in [0.99, 0.95, 0.9] {
            let able = advice.whole.filter { ($0.resultCosine ?? -1) >= cosine && $0.seconds != nil }
            guard let best = able.min(by: { ($0.seconds ?? 0) < ($1.seconds ?? 0) }), best.name != previous.name,
                let seconds = best.seconds, let own = best.resultCosine, seconds < exactTime
            else { continue }
            lines.append(
                "If the model's final vector is all that counts, and a cosine of \(cosine) will do: `\(best.name)` keeps "
                    + String(format: "%.4f", own)
                    + " and is \(Quantity.ratio(exactTime / seconds)) as quick as `\(exact.name)` (attention alone).")
            previous = best
        }
        return lines
    }

    /// Whether the model is long enough for approximations to pay.
    private static func caution(_ advice: Advice, _ exact: Advice.Result) -> String {
        let length = advice.layers.map(\.length).max() ?? advice.length
        let gain = advice.choices.last?.speedup ?? 1
        if gain < 1.5 {
            return
                "At \(length) tokens approximations save little: exact attention is cheap here. Ask again with --lengths "
                + "for longer texts before you give up exactness."
        }
        return
            "Errors are measured without training. A model that is trained on with the approximation adapts to it; one that "
            + "is not keeps the error, layer upon layer."
    }

    /// What savings are told against.
    private static func base(_ results: [Advice.Result]) -> Advice.Result? {
        results.first { $0.operator == "full" && $0.setting.isEmpty && $0.seconds != nil }
    }

    private static func cells(_ result: Advice.Result, base: Advice.Result?) -> [String] {
        let ratio = result.seconds.flatMap { own in base?.seconds.map { Quantity.ratio($0 / own) } }
        return [
            result.isOnFront ? "*" : "", result.name, result.seconds.map(Quantity.seconds) ?? "-", ratio ?? "-",
            result.error.map { $0 <= Advice.rounding ? "exact" : part($0) } ?? "-",
            result.peakBytes.map(Quantity.bytes) ?? "-",
            result.resultCosine.map { String(format: "%.4f", $0) } ?? "",
        ]
    }

    private static func table(_ results: [Advice.Result], width: Int?) -> String {
        var table = TextTable([
            .init(" "), .init("operator"), .init("time", .right), .init("to full", .right, dropOrder: 2),
            .init("error", .right), .init("memory", .right, dropOrder: 1), .init("result", .right, dropOrder: 3),
        ])
        let base = base(results)
        for result in results where result.error != nil { table.add(cells(result, base: base)) }
        return table.render(width: width)
    }

    private static func layerCells(_ advice: Advice) -> (titles: [String], rows: [[String]]) {
        let titles = ["layer", "tokens"] + Advice.limits.map { $0 <= Advice.rounding ? "exact" : "≤ \(part($0))" }
        let rows = advice.layers.map { layer in
            ["\(layer.number)", "\(layer.length)"]
                + Advice.choices(layer.results).map { choice in
                    choice.best.map { "\($0.name) \(Quantity.seconds($0.seconds ?? 0))" } ?? "-"
                }
        }
        return (titles, rows)
    }

    private static func layerTable(_ advice: Advice, width: Int?) -> String {
        let cells = layerCells(advice)
        var table = TextTable(cells.titles.enumerated().map { .init($1, $0 < 2 ? .right : .left) })
        for row in cells.rows { table.add(row) }
        return table.render(width: width)
    }

    /// Operators with their reasons; settings of one operator that share reasons are named once.
    private static func refused(_ advice: Advice) -> [(String, String)] {
        var order: [String] = []
        var names: [String: [String]] = [:]
        for result in advice.whole where !result.reasons.isEmpty {
            let why = SweepTable.reasons(result.reasons)
            if names[why] == nil { order.append(why) }
            names[why, default: []].append(result.name)
        }
        return order.map { (names[$0, default: []].joined(separator: ", "), $0) }
    }

    private static func pipes(_ head: [String], _ rows: [[String]]) -> [String] {
        ([head, head.map { _ in "---" }] + rows).map { "| " + $0.joined(separator: " | ") + " |" }
    }

    private static let legend = """
        Queries, keys and values were captured from every attention layer of the model on the text; every operator then \
        ran on the same numbers. time: the middle of several runs, operators taking turns, summed over the layers; to \
        full: how many times as quick as `full`; error: the distance of the output from full attention in Double, as a part \
        of its norm (root of the mean square over the layers), `exact` when it is rounding; memory: what a call adds at its \
        peak, the most of a layer; result: the cosine of the model's final vector to that of exact attention, where it \
        was tried; *: on the front, where no other is both quicker and nearer. Operators that own tensors ran with their \
        initial values: training would lower their error.
        """
}
