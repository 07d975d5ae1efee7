import AttentionCore

/// Settings worth trying beside an operator's defaults.
enum AdviceSettings {
    /// Sets of options for an operator at a length, the coarsest first; those that an operator does not know are left out
    /// by the caller.
    static func of(_ id: String, length: Int) -> [[String: ConfigurationValue]] {
        switch id {
        case "local":
            return below(length, [4, 8, 16, 32, 64, 128, 256]).map { ["window": [.integer($0), .integer($0)]] }
        case "linformer": return below(length, [16, 32, 64, 128, 256]).map { ["rank": .integer($0)] }
        case "nystrom", "orthoformer":
            return below(length, [16, 32, 64, 128, 256]).map { ["landmarks": .integer($0)] }
        case "favor": return [64, 128, 256, 512].map { ["features": .integer($0)] }
        case "block-sparse": return blocks(length)
        case "factorized": return factorizations(length)
        case "lambda": return [["radius": 7], ["radius": 23]]
        case "pooling": return [["subtract": false], ["size": 7, "subtract": false]]
        default: return []
        }
    }

    private static func blocks(_ length: Int) -> [[String: ConfigurationValue]] {
        let densities: [ConfigurationValue] = [0.1, 0.25, 0.5]
        let patterns: [ConfigurationValue] =
            densities.map { ["name": "random", "density": $0] }
            + [["name": "bigbird"], ["name": "longformer"], ["name": "bigbird", "windowBlocks": 1]]
        return patterns.map { ["pattern": $0, "blockSize": length > 256 ? 32 : 16] }
    }

    private static func factorizations(_ length: Int) -> [[String: ConfigurationValue]] {
        let side = Int(Double(length).squareRoot().rounded(.up))
        return [
            ["kind": "strided", "stride": .integer(side)], ["kind": "fixed", "stride": .integer(side)],
            ["kind": "efficient"],
        ]
    }

    /// Settings as long as the sequence are no saving.
    private static func below(_ length: Int, _ values: [Int]) -> [Int] { values.filter { $0 < length } }
}
