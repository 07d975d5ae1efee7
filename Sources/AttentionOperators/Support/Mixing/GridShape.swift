import AttentionCore

/// How the positions of a sequence lie on a grid, row by row.
enum GridShape {
    /// How much longer one side of a grid that nobody chose may be than the other.
    private static let longest = 4

    /// Checks an option.
    static func check(_ shape: [Int]) throws(AttentionError) {
        let fits = shape.count == 2 && shape.allSatisfy { (1...1 << 20).contains($0) }
        guard fits else {
            throw .invalidOption(name: "shape", expected: "[rows, columns], each from 1 up", actual: "\(shape)")
        }
    }

    /// Why a grid does not fit a problem.
    static func reasons(_ shape: [Int], _ problem: AttentionProblem) -> [UnsupportedReason] {
        guard shape[0] * shape[1] != problem.keyLength else { return [] }
        let nearest = squarest(problem.keyLength)
        return [
            .init(
                .configuration,
                "shape \(shape) has \(shape[0] * shape[1]) positions, and the problem \(problem.keyLength)",
                remedy: "set shape to \(nearest)")
        ]
    }

    /// The factorisation whose sides differ least, the shorter first.
    static func squarest(_ length: Int) -> [Int] {
        var rows = 1
        var candidate = 1
        while candidate * candidate <= length {
            if length % candidate == 0 { rows = candidate }
            candidate += 1
        }
        return [rows, length / rows]
    }

    /// Why the squarest grid of a length is not one that anybody would mean.
    static func squarestReasons(_ problem: AttentionProblem) -> [UnsupportedReason] {
        let shape = squarest(problem.keyLength)
        guard shape[1] > longest * shape[0] else { return [] }
        let side = Int(Double(problem.keyLength).squareRoot().rounded())
        return [
            .init(
                .configuration,
                "\(problem.keyLength) positions have no grid with one side at most \(longest) times the other",
                remedy: "set shape to \(shape), or pad to \(side * ((problem.keyLength + side - 1) / side)) positions")
        ]
    }
}
