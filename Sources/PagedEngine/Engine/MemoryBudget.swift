import Foundation

/// How many pages the memory holds.
struct MemoryBudget {
    /// Bytes of memory that this process may use: the smallest of the machine's and its control groups'.
    static func visibleBytes() -> Int {
        var visible = Int(clamping: ProcessInfo.processInfo.physicalMemory)
        #if os(Linux)
            for path in groupFiles() {
                guard let text = try? String(contentsOfFile: path, encoding: .utf8),
                    let limit = Int(text.trimmingCharacters(in: .whitespacesAndNewlines)), limit > 0
                else { continue }
                visible = min(visible, limit)
            }
        #endif
        return visible
    }

    /// The limits of the process's control group and of those around it, versions 2 and 1.
    private static func groupFiles() -> [String] {
        var files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        guard let groups = try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8) else { return files }
        for line in groups.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let (root, file) =
                fields[1].isEmpty
                ? ("/sys/fs/cgroup", "memory.max") : ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            guard fields[1].isEmpty || fields[1].split(separator: ",").contains("memory") else { continue }
            var path = String(fields[2])
            while path.count > 1 {
                files.append("\(root)\(path)/\(file)")
                path = (path as NSString).deletingLastPathComponent
            }
        }
        return files
    }

    /// What the cache may hold.
    let pageCount: Int

    /// The pages that fit into a fraction of the visible memory beside the weights.
    /// - Parameters:
    ///   - weightBytes: what the model takes already.
    ///   - stepBytes: what a step takes beside it.
    ///   - longest: pages that the longest sequence has at once: without them no request of full length could run.
    ///   - most: pages that all sequences together could ever use.
    /// - Throws: ``EngineError/memory(needed:available:explanation:)``.
    init(
        options: EngineOptions, pageBytes: Int, weightBytes: Int, stepBytes: Int, longest: Int, most: Int,
        visible: Int = Self.visibleBytes()
    ) throws(EngineError) {
        let fixed = weightBytes + stepBytes
        let inMemory = options.swapDirectory == nil ? options.swapSpace : 0
        if let pages = options.pageCount {
            guard fixed + pages * pageBytes + inMemory <= visible else {
                throw .memory(
                    needed: fixed + pages * pageBytes + inMemory, available: visible,
                    explanation: "\(pages) pages do not fit into memory; lower pageCount")
            }
            pageCount = pages
            return
        }
        let budget = Int(Double(visible) * options.memoryUtilization)
        let least = fixed + inMemory + longest * pageBytes
        guard least <= budget else {
            let fraction = (Double(least) / Double(visible) * 1000).rounded(.up) / 1000
            let remedy =
                fraction <= 1
                ? "raise memoryUtilization to \(fraction), or lower maxModelLen"
                : "lower maxModelLen or swapSpace, or take a smaller model"
            throw .memory(
                needed: least, available: budget,
                explanation: "memoryUtilization \(options.memoryUtilization) of \(visible) bytes has no room for the "
                    + "weights (\(weightBytes)), a step (\(stepBytes)), swapped pages (\(inMemory)) and one sequence "
                    + "of the model's length (\(longest * pageBytes)); \(remedy)")
        }
        pageCount = max(longest, min(most, (budget - fixed - inMemory) / pageBytes))
    }
}
