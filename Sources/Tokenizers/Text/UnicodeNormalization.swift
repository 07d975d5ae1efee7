import Foundation

/// Unicode's normal forms (Standard Annex 15) over Unicode 9.0, which Hugging Face's library has.
///
/// Scalars that came later are starters that neither decompose nor compose, as in any table of that version.
package enum UnicodeNormalization {
    /// A normal form.
    package enum Form: String, Sendable, Hashable, CaseIterable {
        /// Canonical decomposition, then composition.
        case composed = "NFC"
        /// Canonical decomposition.
        case decomposed = "NFD"
        /// Compatibility decomposition, then composition.
        case compatibilityComposed = "NFKC"
        /// Compatibility decomposition.
        case compatibilityDecomposed = "NFKD"
    }

    /// A text in a normal form.
    ///
    /// Cost: O(length), with a sort of each run of marks.
    package static func normalize(_ text: [Unicode.Scalar], _ form: Form) -> [Unicode.Scalar] {
        // Below U+00A0 nothing decomposes, below U+0300 nothing composes.
        let limit: UInt32 =
            switch form {
            case .composed: 0x300
            case .decomposed: 0xC0
            case .compatibilityComposed, .compatibilityDecomposed: 0xA0
            }
        guard text.contains(where: { $0.value >= limit }) else { return text }
        switch form {
        case .decomposed: return UnicodeRules.decomposed(text)
        case .composed: return compose(UnicodeRules.decomposed(text))
        case .compatibilityDecomposed: return UnicodeRules.decomposed(text.flatMap(compatible))
        case .compatibilityComposed: return compose(UnicodeRules.decomposed(text.flatMap(compatible)))
        }
    }

    private static func compatible(_ scalar: Unicode.Scalar) -> [Unicode.Scalar] {
        guard scalar.value >= 0xA0, UnicodeRules.isKnown(scalar, major: 9) else { return [scalar] }
        switch scalar.value {
        case 0x3400..<0xA000, 0xAC00..<0xD7A4, 0x20000..<0x2F800: return [scalar]
        default: break
        }
        return Array(String(Character(scalar)).decomposedStringWithCompatibilityMapping.unicodeScalars)
    }

    /// Puts pairs together again: each scalar with the last starter before it, unless a mark of no lower class between
    /// them blocks it.
    private static func compose(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(text.count)
        var starter: Int?
        var lastRank: UInt8 = 0
        for scalar in text {
            let rank = UnicodeRules.combiningClass(scalar)
            if let place = starter {
                let isAdjacent = place == result.count - 1
                if isAdjacent || lastRank < rank && lastRank != 0, let pair = composite(result[place], scalar) {
                    result[place] = pair
                    continue
                }
            }
            if rank == 0 { starter = result.count }
            lastRank = rank
            result.append(scalar)
        }
        return result
    }

    private static func composite(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
        let (left, right) = (first.value, second.value)
        if (0x1100..<0x1113).contains(left), (0x1161..<0x1176).contains(right) {
            return Unicode.Scalar(0xAC00 + ((left - 0x1100) * 21 + right - 0x1161) * 28)
        }
        if (0xAC00..<0xD7A4).contains(left), (left - 0xAC00) % 28 == 0, (0x11A8..<0x11C3).contains(right) {
            return Unicode.Scalar(left + right - 0x11A7)
        }
        return composites[UInt64(left) << 32 | UInt64(right)]
    }

    /// Pairs and what they compose to; syllables of Hangul are computed instead.
    private static let composites: [UInt64: Unicode.Scalar] = {
        var table: [UInt64: Unicode.Scalar] = [:]
        // Nothing outside these blocks composes.
        let blocks: [Range<UInt32>] = [0xC0..<0x3100, 0x11000..<0x11700, 0x1D100..<0x1D200]
        var byDecomposition: [[Unicode.Scalar]: Unicode.Scalar] = [:]
        var composed: [(scalar: Unicode.Scalar, parts: [Unicode.Scalar])] = []
        for scalar in blocks.joined().compactMap(Unicode.Scalar.init) {
            guard UnicodeRules.isKnown(scalar, major: 9), !scalar.properties.isFullCompositionExclusion else {
                continue
            }
            let parts = UnicodeRules.decomposed([scalar])
            guard parts.count > 1 else { continue }
            byDecomposition[parts] = scalar
            composed.append((scalar, parts))
        }
        for (scalar, parts) in composed {
            // A scalar is the pair of what all parts but the last make, and the last.
            guard let last = parts.last else { continue }
            let rest = Array(parts.dropLast())
            guard let first = rest.count == 1 ? rest[0] : byDecomposition[rest] else { continue }
            table[UInt64(first.value) << 32 | UInt64(last.value)] = scalar
        }
        return table
    }()
}
