/// The general categories, white space and word characters of Oniguruma 6.9.10, which has Unicode 16.
struct ScalarClasses: OptionSet, Sendable {
    let rawValue: UInt32

    /// White space, `\s`.
    static let space = ScalarClasses(rawValue: 1 << 30)
    /// Word characters, `\w`: alphabetic, marks, decimal digits, connecting punctuation.
    static let word = ScalarClasses(rawValue: 1 << 31)
    /// Decimal digits, `\d`.
    static let digit = ScalarClasses(names: ["Nd"])

    /// Letters that have case; all letters together do not care.
    static let cased = ScalarClasses(names: ["Lu", "Ll", "Lt"])
    /// Numbers in Latin-1 that `\w` has outside of brackets, and `\b` too: Oniguruma has a table of its own for these.
    static let latinNumbers: [ClosedRange<UInt32>] = [0xB2...0xB3, 0xB9...0xB9, 0xBC...0xBE]

    /// Names of the general categories; a category's bit is its place.
    private static let names = [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
        "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
    ]

    /// Long names that patterns use.
    private static let longNames = [
        "letter": "L", "mark": "M", "number": "N", "punctuation": "P", "symbol": "S", "separator": "Z", "other": "C",
    ]

    init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The property that `\p{name}` means, or `nil`: a general category, or the first letter of several.
    init?(property name: String) {
        let name = Self.longNames[name.lowercased()] ?? name
        let found = Self.names.filter { $0 == name || (name.utf8.count == 1 && $0.hasPrefix(name)) }
        guard !found.isEmpty else { return nil }
        self.init(names: found)
    }

    private init(names: [String]) {
        rawValue = names.reduce(0) { bits, name in
            Self.names.firstIndex(of: name).map { bits | 1 << UInt32($0) } ?? bits
        }
    }

    /// The classes of a scalar.
    static func of(_ value: UInt32) -> ScalarClasses {
        value < 0x10000 ? basicPlane[Int(value)] : Unicode.Scalar(value).map(compute) ?? []
    }

    /// The basic plane, looked up instead of computed: 256 KB, made once in a few milliseconds.
    private static let basicPlane: [ScalarClasses] = (UInt32(0)..<0x10000).map { value in
        Unicode.Scalar(value).map(compute) ?? ScalarClasses(names: ["Cs"])
    }

    private static func compute(_ scalar: Unicode.Scalar) -> ScalarClasses {
        guard let age = scalar.properties.age, age.major <= 16 else { return ScalarClasses(names: ["Cn"]) }
        var classes = ScalarClasses(rawValue: 1 << bit(scalar.properties.generalCategory))
        if scalar.properties.isWhitespace { classes.insert(.space) }
        if scalar.properties.isAlphabetic || !classes.isDisjoint(with: wordCategories) { classes.insert(.word) }
        return classes
    }

    private static let wordCategories = ScalarClasses(names: ["Mn", "Mc", "Me", "Nd", "Pc"])

    private static func bit(_ category: Unicode.GeneralCategory) -> UInt32 {
        switch category {
        case .uppercaseLetter: 0
        case .lowercaseLetter: 1
        case .titlecaseLetter: 2
        case .modifierLetter: 3
        case .otherLetter: 4
        case .nonspacingMark: 5
        case .spacingMark: 6
        case .enclosingMark: 7
        case .decimalNumber: 8
        case .letterNumber: 9
        case .otherNumber: 10
        case .connectorPunctuation: 11
        case .dashPunctuation: 12
        case .openPunctuation: 13
        case .closePunctuation: 14
        case .initialPunctuation: 15
        case .finalPunctuation: 16
        case .otherPunctuation: 17
        case .mathSymbol: 18
        case .currencySymbol: 19
        case .modifierSymbol: 20
        case .otherSymbol: 21
        case .spaceSeparator: 22
        case .lineSeparator: 23
        case .paragraphSeparator: 24
        case .control: 25
        case .format: 26
        case .surrogate: 27
        case .privateUse: 28
        case .unassigned: 29
        @unknown default: 29
        }
    }
}
