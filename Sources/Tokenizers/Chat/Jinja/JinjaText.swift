import Foundation

/// Strings as Python has them: sequences of code points, told apart by these.
enum JinjaText {
    /// Python's white space.
    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        (0x1C...0x1F).contains(scalar.value) || scalar.properties.isWhitespace
    }

    /// Whether two strings have the same code points.
    static func equal(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }

    /// A string of code points.
    static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        return String(view)
    }

    /// A string with some scalars taken off its ends.
    static func stripped(
        _ text: String, left: Bool = true, right: Bool = true, of isGone: (Unicode.Scalar) -> Bool = isSpace
    ) -> String {
        var slice = text.unicodeScalars[...]
        while left, let first = slice.first, isGone(first) { slice.removeFirst() }
        while right, let last = slice.last, isGone(last) { slice.removeLast() }
        return String(slice)
    }

    /// The places where a string is found, from the left, without overlap.
    static func occurrences<Unit: Equatable>(of part: [Unit], in text: [Unit]) -> [Int] {
        guard let first = part.first else { return [] }
        var found: [Int] = []
        var start = 0
        while start + part.count <= text.count {
            if text[start] == first, text[start...].starts(with: part) {
                found.append(start)
                start += part.count
            } else {
                start += 1
            }
        }
        return found
    }

    /// The parts of a string between occurrences of another, at most `limit` cuts, counted from the left or the right.
    static func split(_ text: String, at separator: String, limit: Int, fromRight: Bool = false) -> [String] {
        let scalars = Array(text.unicodeScalars)
        let part = Array(separator.unicodeScalars)
        var cuts: [Int]
        if fromRight {
            let reversed = occurrences(of: part.reversed(), in: scalars.reversed())
            cuts = reversed.map { scalars.count - $0 - part.count }
        } else {
            cuts = occurrences(of: part, in: scalars)
        }
        if limit >= 0 { cuts = Array(cuts.prefix(limit)) }
        var result: [String] = []
        var done = 0
        for cut in cuts.sorted() {
            result.append(string(scalars[done..<cut]))
            done = cut + part.count
        }
        return result + [string(scalars[done...])]
    }

    /// The words between white space, at most `limit` cuts; the rest is kept as it stands.
    static func words(_ text: String, limit: Int, fromRight: Bool = false) -> [String] {
        var scalars = Array(text.unicodeScalars)
        if fromRight { scalars.reverse() }
        var result: [ArraySlice<Unicode.Scalar>] = []
        var rest = scalars.drop(while: isSpace)
        while !rest.isEmpty {
            if limit >= 0, result.count == limit {
                result.append(rest)
                break
            }
            let word = rest.prefix { !isSpace($0) }
            result.append(word)
            rest = rest[word.endIndex...].drop(while: isSpace)
        }
        return fromRight ? result.reversed().map { string($0.reversed()) } : result.map { string($0) }
    }

    /// The lines of a string, as `str.splitlines`.
    static func lines(_ text: String) -> [String] {
        let ends: Set<UInt32> = [0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029]
        var result: [String] = []
        var line = String.UnicodeScalarView()
        var isOpen = false
        var last: Unicode.Scalar = " "
        for scalar in text.unicodeScalars {
            defer { last = scalar }
            if scalar == "\n", last == "\r" { continue }
            isOpen = !ends.contains(scalar.value)
            if isOpen {
                line.append(scalar)
            } else {
                result.append(String(line))
                line = String.UnicodeScalarView()
            }
        }
        return isOpen ? result + [String(line)] : result
    }

    /// Every word with its first cased letter in upper case and the others in lower case, as `str.title`.
    static func title(_ text: String) -> String {
        var result = ""
        var afterLetter = false
        for scalar in text.unicodeScalars {
            let properties = scalar.properties
            result += afterLetter ? properties.lowercaseMapping : properties.titlecaseMapping
            afterLetter = properties.isCased
        }
        return result
    }

    /// The first letter in upper case, the others in lower case, as `str.capitalize`.
    static func capitalized(_ text: String) -> String {
        guard let first = text.unicodeScalars.first else { return "" }
        return first.properties.titlecaseMapping + String(text.unicodeScalars.dropFirst()).lowercased()
    }

    /// A string literal's content with Python's escapes read; `nil` when one is broken.
    static func unescaped(_ source: ArraySlice<Unicode.Scalar>) -> String? {
        let simple: [Unicode.Scalar: Unicode.Scalar] = [
            "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"", "a": "\u{7}", "b": "\u{8}", "f": "\u{C}",
            "v": "\u{B}", "0": "\0",
        ]
        let lengths: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]
        var result = String.UnicodeScalarView()
        var rest = source
        while let scalar = rest.popFirst() {
            guard scalar == "\\", let kind = rest.popFirst() else {
                result.append(scalar)
                continue
            }
            if let length = lengths[kind] {
                let digits = string(rest.prefix(length))
                guard digits.utf8.count == length, let value = UInt32(digits, radix: 16),
                    let made = Unicode.Scalar(value)
                else { return nil }
                result.append(made)
                rest = rest.dropFirst(length)
            } else if kind == "\n" {
                continue
            } else if let made = simple[kind] {
                result.append(made)
            } else {
                result.append(contentsOf: [scalar, kind])
            }
        }
        return String(result)
    }

    /// The present time by a `strftime` format, in the local zone.
    static func time(_ format: String, secondsSince1970: Double) -> String {
        // Beyond these years `time_t` and `tm` have no answer.
        var seconds = time_t(max(-1e11, min(1e11, secondsSince1970)))
        var parts = tm()
        guard localtime_r(&seconds, &parts) != nil else { return "" }
        var buffer = [CChar](repeating: 0, count: 64 + 16 * format.utf8.count)
        let count = strftime(&buffer, buffer.count, format, &parts)
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
