/// A mask written in Swift.
///
/// `allows` is the specification. Without `classify` and `bounds` every tile is evaluated cell by cell; with them whole
/// tiles are skipped or taken, so give them when the mask is sparse. They must agree with `allows`.
///
/// - Important: the name identifies the function: two functions of the same name count as the same mask.
public struct MaskFunction: Sendable {
    /// What identifies the function, with its parameters, for example `dilated(4)`.
    public let name: String
    /// Whether different heads may see different keys.
    public let dependsOnHead: Bool
    let visible: @Sendable (_ query: Int, _ key: Int, _ geometry: MaskGeometry) -> Bool
    let tile: (@Sendable (_ queries: Range<Int>, _ keys: Range<Int>, _ geometry: MaskGeometry) -> TileCoverage)?
    let bounds: (@Sendable (_ queries: Range<Int>, _ geometry: MaskGeometry) -> Range<Int>)?

    /// A mask by its function.
    /// - Parameters:
    ///   - name: what identifies the function; put its parameters into it.
    ///   - dependsOnHead: false promises that all heads see the same keys.
    ///   - bounds: keys outside of which no query of a range sees anything.
    ///   - classify: what a tile holds; ``TileCoverage/partial`` is always a safe answer.
    ///   - allows: whether a query sees a key.
    public init(
        _ name: String,
        dependsOnHead: Bool = true,
        bounds: (@Sendable (_ queries: Range<Int>, _ geometry: MaskGeometry) -> Range<Int>)? = nil,
        classify: (@Sendable (_ queries: Range<Int>, _ keys: Range<Int>, _ geometry: MaskGeometry) -> TileCoverage)? =
            nil,
        allows: @escaping @Sendable (_ query: Int, _ key: Int, _ geometry: MaskGeometry) -> Bool
    ) {
        self.name = name
        self.dependsOnHead = dependsOnHead
        visible = allows
        tile = classify
        self.bounds = bounds
    }

    func hull(queries: Range<Int>, _ geometry: MaskGeometry) -> Range<Int> {
        (bounds?(queries, geometry) ?? 0..<geometry.keyLength).clamped(to: 0..<geometry.keyLength)
    }

    func classify(queries: Range<Int>, keys: Range<Int>, _ geometry: MaskGeometry) -> TileCoverage {
        if let tile { return tile(queries, keys, geometry) }
        return hull(queries: queries, geometry).overlaps(keys) ? .partial : .empty
    }
}

extension MaskFunction: Hashable {
    /// Whether two functions have the same name.
    public static func == (left: MaskFunction, right: MaskFunction) -> Bool { left.name == right.name }

    /// Feeds the name.
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }
}
