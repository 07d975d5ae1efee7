/// What a page about an operator says beyond its facts: for people who choose.
public struct OperatorGuide: Sendable, Hashable, Codable {
    /// What it computes, as lines of plain mathematics in the paper's letters.
    public let maths: String
    /// When to choose it, and what instead when not.
    public let choose: String
    /// What it cannot do, and why.
    public let limits: String

    /// A guide.
    public init(maths: String, choose: String, limits: String) {
        self.maths = maths
        self.choose = choose
        self.limits = limits
    }

    /// A guide that says nothing.
    public static let none = OperatorGuide(maths: "", choose: "", limits: "")
}
