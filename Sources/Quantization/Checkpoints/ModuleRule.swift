/// An entry of GPTQModel's `dynamic`: what differs for modules whose names match.
public struct ModuleRule: Sendable, Hashable {
    /// A regular expression for the start of a module's name.
    public var pattern: String
    /// Whether these modules are not quantised (the key starts with `-:`).
    public var leavesOut: Bool
    /// Bits of a code, where they differ.
    public var bits: Int?
    /// `group_size` as files have it, −1 for the whole row, where it differs.
    public var fileGroupSize: Int?
    /// `sym`, where it differs.
    public var isSymmetric: Bool?
    /// `desc_act`, where it differs.
    public var isActOrdered: Bool?

    /// A rule.
    public init(
        pattern: String, leavesOut: Bool = false, bits: Int? = nil, fileGroupSize: Int? = nil,
        isSymmetric: Bool? = nil, isActOrdered: Bool? = nil
    ) {
        self.pattern = pattern
        self.leavesOut = leavesOut
        self.bits = bits
        self.fileGroupSize = fileGroupSize
        self.isSymmetric = isSymmetric
        self.isActOrdered = isActOrdered
    }
}
