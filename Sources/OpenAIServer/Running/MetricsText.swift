import PagedEngine

/// How many values were up to each of some bounds.
package struct Histogram: Sendable {
    let bounds: [Double]
    private(set) var counts: [Int]
    private(set) var sum = 0.0

    /// vLLM's buckets.
    static let firstTokenBounds = [
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160,
    ]
    static let tokenBounds = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5,
    ]
    static let requestBounds = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960]

    package init(_ bounds: [Double]) {
        self.bounds = bounds
        counts = [Int](repeating: 0, count: bounds.count + 1)
    }

    package mutating func add(_ value: Double) {
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        sum += value
    }
}

/// Prometheus' text format, line by line.
package struct MetricsText {
    package private(set) var result = ""
    private let model: String

    /// - Parameter model: the label `model_name` of every sample.
    package init(model: String) { self.model = model }

    mutating func heading(_ name: String, _ type: String, _ help: String) {
        result += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    mutating func sample(_ name: String, _ value: String, labels: [(String, String)] = []) {
        let all = [("model_name", model)] + labels
        let pairs = all.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
        result += "\(name){\(pairs)} \(value)\n"
    }

    mutating func counter(_ name: String, _ help: String, _ value: Int) {
        heading(name, "counter", help)
        sample(name, "\(value)")
    }

    mutating func gauge(_ name: String, _ help: String, _ value: String) {
        heading(name, "gauge", help)
        sample(name, value)
    }

    package mutating func histogram(_ name: String, _ help: String, _ histogram: Histogram) {
        heading(name, "histogram", help)
        var total = 0
        for (bound, count) in zip(histogram.bounds, histogram.counts) {
            total += count
            sample("\(name)_bucket", "\(total)", labels: [("le", "\(bound)")])
        }
        total += histogram.counts.last ?? 0
        sample("\(name)_bucket", "\(total)", labels: [("le", "+Inf")])
        sample("\(name)_sum", "\(histogram.sum)")
        sample("\(name)_count", "\(total)")
    }

    /// What the engine is doing.
    mutating func add(_ snapshot: EngineSnapshot) {
        let pages = snapshot.blocks
        gauge("vllm:num_requests_running", "Requests whose keys are in memory.", "\(snapshot.running)")
        gauge(
            "vllm:num_requests_waiting", "Requests that wait, to begin or to go on.", "\(snapshot.waiting)")
        gauge(
            "zoo:num_requests_queued", "Requests that have not begun: what --max-queue bounds.", "\(snapshot.queued)")
        let used = pages.pageCount - pages.freePages
        gauge(
            "vllm:kv_cache_usage_perc", "The part of the pages that is in use; 1 is all.",
            "\(pages.pageCount == 0 ? 0 : Double(used) / Double(pages.pageCount))")
        gauge("zoo:kv_cache_pages_used", "Pages in use.", "\(used)")
        gauge("zoo:kv_cache_pages_total", "Pages of the cache.", "\(pages.pageCount)")
        counter("vllm:num_preemptions_total", "Requests whose memory was taken.", snapshot.preemptions)
        counter("vllm:prefix_cache_queries_total", "Tokens looked up in the prefix cache.", pages.queriedTokens)
        counter("vllm:prefix_cache_hits_total", "Tokens found there.", pages.hitTokens)
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.append(character)
            }
        }
        return result
    }
}
