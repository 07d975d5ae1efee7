import AttentionCore

/// Settings worth trying beside an operator's defaults.
enum AdviceSettings {
    /// Sets of options other than the defaults for an operator at a length, the coarsest first; those that an operator
    /// does not know are left out by the caller.
    static func of(_ id: String, length: Int) -> [[String: ConfigurationValue]] {
        switch id {
        case "local":
            return below(length, [4, 8, 16, 32, 64, 128, 256]).map { ["window": [.integer($0), .integer($0)]] }
        case "linformer": return below(length, [16, 32, 64, 256]).map { ["rank": .integer($0)] }
        case "nystrom", "orthoformer":
            return below(length, [16, 32, 128, 256]).map { ["landmarks": .integer($0)] }
        case "favor": return [64, 128, 512].map { ["features": .integer($0)] }
        case "block-sparse": return blocks(length)
        case "factorized": return factorizations(length)
        case "global": return [["count": 8, "own": true], ["count": 32, "own": true]]
        case "random": return [["density": 0.25], ["density": 0.5]]
        case "lambda": return [["radius": 7], ["radius": 23]]
        case "pooling": return [["subtract": false], ["size": 7, "subtract": false]]
        default: return []
        }
    }

    private static func blocks(_ length: Int) -> [[String: ConfigurationValue]] {
        let densities: [ConfigurationValue] = [0.1, 0.25, 0.5]
        let patterns: [ConfigurationValue] =
            densities.map { ["name": "random", "density": $0] }
            + [
                ["name": "bigbird"], ["name": "longformer", "window": .integer(max(1, length / 8))],
                ["name": "window", "left": .integer(max(1, length / 8))],
            ]
        return patterns.map { ["pattern": $0, "blockSize": length > 256 ? 32 : 16] }
    }

    private static func factorizations(_ length: Int) -> [[String: ConfigurationValue]] {
        let side = Int(Double(length).squareRoot().rounded(.up))
        let schemes: [ConfigurationValue] = [
            ["name": "strided", "stride": .integer(side)],
            ["name": "fixed", "stride": .integer(side), "summary": .integer(max(1, side / 4))],
        ]
        return schemes.map { ["scheme": $0] }
    }

    /// Settings as long as the sequence are no saving.
    private static func below(_ length: Int, _ values: [Int]) -> [Int] { values.filter { $0 < length } }
}
