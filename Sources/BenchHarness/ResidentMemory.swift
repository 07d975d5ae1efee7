import Foundation

/// How much memory the process has in use, as the system counts it.
public enum ResidentMemory {
    /// The growth at the peak of `body`, over what was resident before; `nil` where the system cannot tell.
    ///
    /// Linux lets a process reset its own high-water mark. Memory that the process already held and uses again is not
    /// growth. Cost: a few microseconds beside the body.
    /// - Throws: whatever the body throws.
    public static func growth<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> (result: Result, bytes: Int?) {
        guard resetPeak(), let before = status("VmRSS:") else { return (try body(), nil) }
        let result = try body()
        return (result, status("VmHWM:").map { max(0, $0 - before) })
    }

    /// Writes 5 to `clear_refs`: "reset the peak resident set size" (proc(5)).
    private static func resetPeak() -> Bool {
        #if os(Linux)
            guard let file = fopen("/proc/self/clear_refs", "w") else { return false }
            let written = fputs("5", file) >= 0
            return fclose(file) == 0 && written
        #else
            return false
        #endif
    }

    private static func status(_ field: String) -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix(field) }),
            let kibibytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) })
        else { return nil }
        return kibibytes * 1024
    }
}
