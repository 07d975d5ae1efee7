/// The keys that may ask.
package struct APIKeys: Sendable {
    private let keys: [[UInt8]]

    package init(_ keys: [String]) { self.keys = keys.map { Array($0.utf8) } }

    /// The number of the key in an `Authorization` header, or `nil` when it is none of them; 0 where there are no keys.
    ///
    /// Every key is compared over its whole length: the time does not tell how much of a guess was right.
    package func holder(_ authorization: String?) -> Int? {
        if keys.isEmpty { return 0 }
        guard let authorization, authorization.lowercased().hasPrefix("bearer ") else { return nil }
        let given = Array(authorization.utf8.dropFirst("bearer ".utf8.count))
        var found: Int?
        for (index, key) in keys.enumerated() where Self.areEqual(key, given) { found = found ?? index }
        return found
    }

    /// Takes as long whatever the guess, for a guess of some length.
    static func areEqual(_ key: [UInt8], _ guess: [UInt8]) -> Bool {
        var difference = key.count ^ guess.count
        for (index, byte) in guess.enumerated() {
            difference |= Int(byte ^ (key.isEmpty ? 0 : key[index % key.count]))
        }
        return difference == 0
    }
}
