public import TensorCore

/// How a weight is put into whole numbers.
public struct QuantizationScheme: Sendable, Hashable {
    /// Bits of a code: 2, 3, 4 or 8.
    public var bits: Int
    /// Inputs that share a scale; `nil`: the whole row.
    public var groupSize: Int?
    /// Whether the zero is 2^(bits − 1) everywhere (1 for ternary codes); else each group has its own.
    public var isSymmetric: Bool
    /// Whether weights are −1, 0 or 1 times the scale of their group: codes 0, 1 and 2 of two bits, zero 1.
    public var isTernary: Bool
    /// The element type of scales: F16, BF16 or F32.
    public var scaleType: DType

    /// A scheme; by default four bits in groups of 128 with zeros of their own.
    public init(
        bits: Int = 4, groupSize: Int? = 128, isSymmetric: Bool = false, scaleType: DType = .float16,
        isTernary: Bool = false
    ) {
        self.bits = bits
        self.groupSize = groupSize
        self.isSymmetric = isSymmetric
        self.isTernary = isTernary
        self.scaleType = scaleType
    }

    /// −1, 0 and 1 times a scale for each group.
    public static func ternary(groupSize: Int? = 128, scaleType: DType = .float16) -> QuantizationScheme {
        QuantizationScheme(
            bits: 2, groupSize: groupSize, isSymmetric: true, scaleType: scaleType, isTernary: true)
    }

    /// Different codes that a weight may have: 2^bits, or 3.
    public var levels: Int { isTernary ? 3 : 1 << bits }

    /// Checks that the scheme exists and fits rows of so many inputs.
    /// - Throws: ``QuantizationError`` that names the field.
    public func validate(inputs: Int) throws(QuantizationError) {
        try QuantizationError.check([2, 3, 4, 8].contains(bits), "bits", "2, 3, 4 or 8", "\(bits)")
        try QuantizationError.check(inputs > 0, "inputs", "from 1", "\(inputs)")
        try QuantizationError.check(
            [.float16, .bfloat16, .float32].contains(scaleType), "scaleType", "F16, BF16 or F32", scaleType.rawValue)
        if isTernary {
            try QuantizationError.check(bits == 2, "bits", "2 for ternary codes", "\(bits)")
            try QuantizationError.check(isSymmetric, "isSymmetric", "true for ternary codes", "false")
        }
        if let groupSize {
            try QuantizationError.check(
                groupSize > 0 && inputs % groupSize == 0, "groupSize", "a number that divides the \(inputs) inputs",
                "\(groupSize)")
        }
    }

    /// The largest code.
    var highestCode: Int { levels - 1 }
    /// The zero of a group that lies evenly around 0.
    var middle: Int { isTernary ? 1 : 1 << (bits - 1) }
    /// Whether every zero is the one that a weight has when it says none.
    var hasUsualZeros: Bool { isSymmetric && !isTernary }

    func groupSize(inputs: Int) -> Int { groupSize ?? inputs }
}
