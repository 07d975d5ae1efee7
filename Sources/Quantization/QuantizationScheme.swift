public import TensorCore

/// How a weight is put into whole numbers.
public struct QuantizationScheme: Sendable, Hashable {
    /// Bits of a code: 2, 3, 4 or 8.
    public var bits: Int
    /// Inputs that share a scale; `nil`: the whole row.
    public var groupSize: Int?
    /// Whether the zero is 2^(bits − 1) everywhere; else each group has its own.
    public var isSymmetric: Bool
    /// The element type of scales: F16, BF16 or F32.
    public var scaleType: DType

    /// A scheme; by default four bits in groups of 128 with zeros of their own.
    public init(bits: Int = 4, groupSize: Int? = 128, isSymmetric: Bool = false, scaleType: DType = .float16) {
        self.bits = bits
        self.groupSize = groupSize
        self.isSymmetric = isSymmetric
        self.scaleType = scaleType
    }
}
