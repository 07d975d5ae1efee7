/// How the weight of one module is quantised.
public struct ModuleQuantization: Sendable, Hashable {
    /// Bits of a code: 2, 3, 4 or 8.
    public var bits: Int
    /// Inputs that share a scale; `nil`: the whole row.
    public var groupSize: Int?
    /// Whether the configuration says that every zero is 2^(bits − 1).
    public var isSymmetric: Bool
    /// Whether inputs were quantised in another order than their own, so that each one's group must be stored.
    public var isActOrdered: Bool
    /// Whether one scale serves the whole tensor (compressed-tensors' strategy `tensor`).
    public var hasOneScale: Bool
    /// Whether codes are packed into words; else each is a byte (compressed-tensors' `int-quantized`).
    public var isPacked: Bool

    /// How a module is quantised; by default its codes are packed, and its inputs in order.
    public init(
        bits: Int, groupSize: Int?, isSymmetric: Bool, isActOrdered: Bool = false, hasOneScale: Bool = false,
        isPacked: Bool = true
    ) {
        self.bits = bits
        self.groupSize = groupSize
        self.isSymmetric = isSymmetric
        self.isActOrdered = isActOrdered
        self.hasOneScale = hasOneScale
        self.isPacked = isPacked
    }
}
