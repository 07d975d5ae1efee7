import Foundation

/// The character classes of Hugging Face's `tokenizers`, scalar by scalar.
///
/// That library takes general categories from Unicode 8.0 and normalisation from Unicode 9.0, while Swift's tables
/// are newer. A scalar's age tells which ones the older tables do not know; the few whose category changed later are
/// listed. `Tests/Fixtures/tokenizers/unicode.json` holds what the library itself says about every scalar.
package enum UnicodeRules {
    /// Removed by `clean_text`: the null, the replacement character, and category C apart from tab and line ends.
    package static func isRemoved(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0A, 0x0D: return false
        case 0x20..<0x7F: return false
        case 0, 0xFFFD: return true
        default: break
        }
        switch category(scalar) {
        case .control, .format, .privateUse: return true
        default: return false
        }
    }

    /// White space: becomes a blank in `clean_text` and separates words.
    package static func isWhitespace(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x80
            ? scalar.value == 0x20 || (0x09...0x0D).contains(scalar.value) : scalar.properties.isWhitespace
    }

    /// Punctuation, which is a word of its own: every ASCII symbol, and category P.
    package static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
        case 0..<0x80: return false
        case 0x166D, 0x111C9: return true  // Categories So and Mn since Unicode 12 and 11.
        default: break
        }
        switch category(scalar) {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            return true
        default: return false
        }
    }

    /// Ideographs that stand alone.
    ///
    /// The fifth block begins where the library has it begin, not where Unicode does.
    package static func isIdeograph(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
            0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
            return true
        default: return false
        }
    }

    /// Accents, which `strip_accents` removes after decomposition: category Mn.
    package static func isNonspacingMark(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x300: return false
        case 0x1734, 0x1171E: return true  // Category Mc since Unicode 14 and 15.1.
        case 0x1885, 0x1886, 0xA9BD, 0x111C9: return false  // Category Mn since Unicode 9, 11 and 11.
        default: return category(scalar) == .nonspacingMark
        }
    }

    /// Whether a scalar belongs to a word: `\w` of Unicode TR 18, annex C, over Unicode 16.
    package static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        let properties = scalar.properties
        guard let age = properties.age, age.major <= 16 else { return false }
        if properties.isAlphabetic || properties.isJoinControl { return true }
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
        default: return false
        }
    }

    /// Numbers of any kind: category N.
    package static func isNumeric(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: true
        default: false
        }
    }

    /// Marks of any kind: category M.
    package static func isCombiningMark(_ scalar: Unicode.Scalar) -> Bool {
        guard scalar.value >= 0x300, isKnown(scalar, major: 9) else { return false }
        switch scalar.value {
        case 0x111C9: return false  // Category Mn since Unicode 11.
        case 0x1CF2, 0x1CF3: return true  // Category Lo since Unicode 12.
        default: break
        }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: return true
        default: return false
        }
    }

    /// Scalar by scalar, without the rules that look at neighbours: a final sigma becomes σ, not ς.
    static func lowercased(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(text.count)
        for scalar in text {
            switch scalar.value {
            case 0x41...0x5A: result.append(Unicode.Scalar(UInt8(scalar.value) + 0x20))
            case 0..<0x80: result.append(scalar)
            default: result.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
            }
        }
        return result
    }

    /// The canonical combining class; 0 for starters.
    static func combiningClass(_ scalar: Unicode.Scalar) -> UInt8 {
        guard scalar.value >= 0x300, isKnown(scalar, major: 9) else { return 0 }
        return scalar.properties.canonicalCombiningClass.rawValue
    }

    /// Canonical decomposition and ordering (NFD).
    ///
    /// Cost: O(scalars), with a sort of each run of marks.
    package static func decomposed(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
        // Nothing below À decomposes, and no scalar below U+0300 is a mark.
        guard scalars.contains(where: { $0.value >= 0xC0 }) else { return scalars }
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(scalars.count + scalars.count / 8)
        var marks: [(scalar: Unicode.Scalar, rank: UInt8)] = []
        func flush() {
            if marks.count > 1 {
                // Stable: the standard library's sort is, but does not promise it.
                let order = marks.indices.sorted { (marks[$0].rank, $0) < (marks[$1].rank, $1) }
                result.append(contentsOf: order.map { marks[$0].scalar })
            } else if let mark = marks.first {
                result.append(mark.scalar)
            }
            marks.removeAll(keepingCapacity: true)
        }
        for scalar in scalars {
            guard scalar.value >= 0xC0 else {
                flush()
                result.append(scalar)
                continue
            }
            for part in decomposition(scalar) {
                let rank = combiningClass(part)
                if rank == 0 {
                    flush()
                    result.append(part)
                } else {
                    marks.append((part, rank))
                }
            }
        }
        flush()
        return result
    }

    private static func decomposition(_ scalar: Unicode.Scalar) -> [Unicode.Scalar] {
        // Ideographs and symbols are most of what is not Latin; none of these blocks decomposes.
        switch scalar.value {
        case 0x2E80..<0x3041, 0x3100..<0xAC00, 0x1F000..<0x20000, 0x20000..<0x2F800: return [scalar]
        default: break
        }
        guard isKnown(scalar, major: 9) else { return [scalar] }
        return Array(String(Character(scalar)).decomposedStringWithCanonicalMapping.unicodeScalars)
    }

    private static func category(_ scalar: Unicode.Scalar) -> Unicode.GeneralCategory {
        isKnown(scalar, major: 8) ? scalar.properties.generalCategory : .unassigned
    }

    /// Whether a version of Unicode has a scalar.
    static func isKnown(_ scalar: Unicode.Scalar, major: Int) -> Bool {
        guard let age = scalar.properties.age else { return false }
        return age.major < major || age.major == major && age.minor == 0
    }
}
