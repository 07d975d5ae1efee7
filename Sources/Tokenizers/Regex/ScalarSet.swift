/// A set of scalars in a regular expression, such as `[^\s\p{L}]`.
struct ScalarSet: Sendable {
    /// What is in the set: ranges, classes, or all but these.
    struct Part: Sendable {
        var ranges: [ClosedRange<UInt32>] = []
        var classes: ScalarClasses = []
        var isNegated = false

        func contains(_ value: UInt32) -> Bool {
            (!classes.isDisjoint(with: ScalarClasses.of(value)) || ranges.contains { $0.contains(value) }) != isNegated
        }
    }

    private let parts: [Part]
    private let isNegated: Bool
    private let foldsCase: Bool
    /// The answers for ASCII.
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    /// The union of parts, or all but it; with `foldsCase`, also what has the same case folding.
    init(_ parts: [Part], isNegated: Bool = false, foldsCase: Bool = false) {
        self.parts = parts
        self.isNegated = isNegated
        self.foldsCase = foldsCase
        for value in UInt32(0)..<64 {
            if decide(value) { low |= 1 << UInt64(value) }
            if decide(value + 64) { high |= 1 << UInt64(value) }
        }
    }

    /// Whether a scalar is in the set.
    func contains(_ scalar: Unicode.Scalar) -> Bool {
        let value = scalar.value
        if value < 64 { return low >> UInt64(value) & 1 != 0 }
        if value < 128 { return high >> UInt64(value - 64) & 1 != 0 }
        return decide(value)
    }

    private func decide(_ value: UInt32) -> Bool {
        var found = parts.contains { $0.contains(value) }
        if foldsCase, !found {
            found = CaseFolding.variants(value).contains { variant in parts.contains { $0.contains(variant) } }
        }
        return found != isNegated
    }
}

/// Simple case folding: what Oniguruma's `(?i)` does to single scalars.
enum CaseFolding {
    /// The scalar that stands for all that differ in case only.
    static func fold(_ value: UInt32) -> UInt32 {
        guard let scalar = Unicode.Scalar(value) else { return value }
        return single(single(scalar, \.uppercaseMapping), \.lowercaseMapping).value
    }

    /// The scalars of other case.
    static func variants(_ value: UInt32) -> [UInt32] {
        guard let scalar = Unicode.Scalar(value) else { return [] }
        let upper = single(scalar, \.uppercaseMapping)
        return [upper.value, single(scalar, \.lowercaseMapping).value, single(upper, \.lowercaseMapping).value]
    }

    /// Whether no scalar of other case is written with several.
    static func isSingle(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.uppercaseMapping.unicodeScalars.count == 1
            && scalar.properties.lowercaseMapping.unicodeScalars.count == 1
    }

    private static func single(
        _ scalar: Unicode.Scalar, _ mapping: KeyPath<Unicode.Scalar.Properties, String>
    ) -> Unicode.Scalar {
        let mapped = scalar.properties[keyPath: mapping].unicodeScalars
        return mapped.count == 1 ? mapped.first ?? scalar : scalar
    }
}
