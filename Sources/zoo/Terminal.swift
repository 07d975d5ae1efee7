import Foundation

/// Where text goes.
enum Terminal {
    /// Writes to standard output at once.
    static func out(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }

    /// Writes to standard error at once.
    static func error(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }

    /// Whether a person sees standard error.
    static var showsErrors: Bool { isatty(2) == 1 }

    /// Columns of the terminal that standard output goes to; `nil` when it goes to a file.
    static var width: Int? {
        if let text = ProcessInfo.processInfo.environment["COLUMNS"], let columns = Int(text), columns > 0 {
            return columns
        }
        guard isatty(1) == 1 else { return nil }
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }
}

/// A bar on standard error while a person watches; a line for each step when nobody does.
struct Progress {
    let total: Int
    private let start = Date()

    init(total: Int) { self.total = total }

    /// Shows that step `index` (from 0) has begun.
    func begin(_ index: Int, _ name: String) {
        guard Terminal.showsErrors else { return }
        let cells = 24
        let done = total == 0 ? cells : index * cells / total
        let bar = String(repeating: "█", count: done) + String(repeating: "░", count: cells - done)
        let seconds = Int(Date().timeIntervalSince(start))
        let clock = String(format: "%d:%02d", seconds / 60, seconds % 60)
        Terminal.error("\r\u{1B}[K\(bar) \(index + 1)/\(total) \(clock) \(name)")
    }

    /// Says what step `index` gave.
    func end(_ index: Int, _ text: String) {
        guard !Terminal.showsErrors else { return }
        Terminal.error("[\(index + 1)/\(total)] \(text)\n")
    }

    /// Removes the bar.
    func clear() {
        if Terminal.showsErrors { Terminal.error("\r\u{1B}[K") }
    }
}

/// How results are written.
enum Output {
    /// A value as JSON over several lines, keys sorted.
    static func json(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        // Plain records of this program: encoding them cannot fail.
        return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) + "\n" } ?? ""
    }
}
