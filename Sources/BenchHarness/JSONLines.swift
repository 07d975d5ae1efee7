import Foundation

/// Writes reports: a line for the machine, then a line for each result.
public enum JSONLines {
    /// The lines, each ending in a newline.
    public static func text(machine: MachineFacts, lines: [ResultLine]) -> String {
        var text = line(MachineLine(machine: machine))
        for result in lines { text += line(result) }
        return text
    }

    /// One value as a line.
    ///
    /// Infinity and NaN, which JSON lacks, become strings.
    public static func line(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        // Every value handed in here is a plain record: encoding it cannot fail.
        return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) + "\n" } ?? ""
    }

    /// The machine and the results in a report, in order.
    /// - Throws: `DecodingError` when a line is not what ``text(machine:lines:)`` writes.
    public static func read(_ text: String) throws -> (machine: MachineFacts?, lines: [ResultLine]) {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        var machine: MachineFacts?
        var lines: [ResultLine] = []
        for line in text.split(separator: "\n") {
            let data = Data(line.utf8)
            switch try decoder.decode(Kind.self, from: data).kind {
            case "machine": machine = try decoder.decode(MachineLine.self, from: data).machine
            case "result": lines.append(try decoder.decode(ResultLine.self, from: data))
            default: break
            }
        }
        return (machine, lines)
    }

    /// Writes a text file whole or not at all, with its folders.
    /// - Throws: ``BenchError/unwritable(path:reason:)``.
    public static func write(_ text: String, to path: String) throws(BenchError) {
        let url = URL(fileURLWithPath: path)
        do {
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url, options: .atomic)
        } catch {
            throw .unwritable(path: path, reason: error.localizedDescription)
        }
    }

    private struct Kind: Decodable {
        let kind: String
    }

    private struct MachineLine: Codable {
        var kind = "machine"
        let machine: MachineFacts
    }
}
