public import TensorCore

/// A weight `[outputs, inputs]` in whole numbers: what quantisers make, what checkpoints hold, and what kernels pack.
///
/// `weight[o, i] = scale[o, g] · (code[o, i] − zero[o, g])`, where g is the group of input i.
public struct QuantizedWeight: Sendable, Hashable {
    /// Features that come out.
    public let outputs: Int
    /// Features that go in.
    public let inputs: Int
    /// Bits of a code: 2, 3, 4 or 8.
    public let bits: Int
    /// Inputs that share a scale; `inputs` when the whole row does.
    public let groupSize: Int
    /// `[outputs, inputs]`, each from 0 to below 2^bits.
    public var codes: [UInt8]
    /// `[outputs, groups]`.
    public var scales: [Float]
    /// The element type in which files and kernels keep scales, F16, BF16 or F32: every scale is such a number.
    public let scaleType: DType
    /// `[outputs, groups]`; `nil` when every zero is 2^(bits − 1), as symmetric quantisation has it.
    public var zeros: [Int16]?
    /// The group of each input; `nil` when it is the input's number divided by the group size.
    public var groupIndex: [Int32]?

    /// Groups of a row.
    public var groups: Int { (inputs + groupSize - 1) / groupSize }

    /// Puts a weight together.
    /// - Throws: ``QuantizedWeightError`` that names the part which does not fit.
    public init(
        outputs: Int, inputs: Int, bits: Int, groupSize: Int, codes: [UInt8], scales: [Float], scaleType: DType,
        zeros: [Int16]? = nil, groupIndex: [Int32]? = nil
    ) throws(QuantizedWeightError) {
        func check(_ part: String, _ holds: Bool, _ expected: String, _ actual: String) throws(QuantizedWeightError) {
            if !holds { throw QuantizedWeightError(part: part, expected: expected, actual: actual) }
        }
        try check("bits", [2, 3, 4, 8].contains(bits), "2, 3, 4 or 8", "\(bits)")
        try check("shape", outputs >= 0 && inputs > 0, "outputs from 0 and inputs from 1", "[\(outputs), \(inputs)]")
        try check("groupSize", (1...inputs).contains(groupSize), "from 1 to the \(inputs) inputs", "\(groupSize)")
        let groups = (inputs + groupSize - 1) / groupSize
        try check(
            "codes", codes.count == outputs * inputs, "\(outputs * inputs) for [\(outputs), \(inputs)]",
            "\(codes.count)")
        let largest = codes.max() ?? 0
        try check("codes", Int(largest) < 1 << bits, "below \(1 << bits) for \(bits) bits", "\(largest)")
        try check(
            "scales", scales.count == outputs * groups, "\(outputs * groups) for [\(outputs), \(groups)]",
            "\(scales.count)")
        try check(
            "scaleType", [.float16, .bfloat16, .float32].contains(scaleType), "F16, BF16 or F32", scaleType.rawValue)
        if let zeros {
            try check("zeros", zeros.count == scales.count, "\(scales.count), as many as scales", "\(zeros.count)")
        }
        if let groupIndex {
            try check(
                "groupIndex", groupIndex.count == inputs, "one for each of \(inputs) inputs", "\(groupIndex.count)")
            let bad = groupIndex.first { $0 < 0 || Int($0) >= groups }
            try check("groupIndex", bad == nil, "from 0 to below \(groups) groups", "\(bad ?? 0)")
        }
        self.outputs = outputs
        self.inputs = inputs
        self.bits = bits
        self.groupSize = groupSize
        self.codes = codes
        self.scales = scales
        self.scaleType = scaleType
        self.zeros = zeros
        self.groupIndex = groupIndex
    }

    /// The group of an input.
    @inline(__always)
    public func group(of input: Int) -> Int { groupIndex.map { Int($0[input]) } ?? input / groupSize }

    /// The zero of a group of an output.
    @inline(__always)
    public func zero(_ output: Int, group: Int) -> Int {
        zeros.map { Int($0[output * groups + group]) } ?? 1 << (bits - 1)
    }

    /// The weight `[outputs, inputs]` in F32: one multiplication of Float each.
    ///
    /// Cost: O(outputs · inputs).
    public func dequantized() -> Tensor {
        let result = Tensor(unwritten: [outputs, inputs])
        let target = result.freshMutableAddress.assumingMemoryBound(to: Float.self)
        let places = (0..<inputs).map { group(of: $0) }
        for output in 0..<outputs {
            for input in 0..<inputs {
                let group = places[input]
                let number = Int(codes[output * inputs + input]) - zero(output, group: group)
                target[output * inputs + input] = scales[output * groups + group] * Float(number)
            }
        }
        return result
    }
}

extension QuantizedWeight {
    /// Whether the other weight can follow this one in one weight: everything but outputs and numbers is the same.
    public func isStackable(with other: QuantizedWeight) -> Bool {
        inputs == other.inputs && bits == other.bits && groupSize == other.groupSize && scaleType == other.scaleType
            && (zeros == nil) == (other.zeros == nil) && groupIndex == other.groupIndex
    }

    /// Weights one below the other, each stackable with the first; `nil` of others, or of none.
    package static func stacked(_ parts: [QuantizedWeight]) -> QuantizedWeight? {
        guard let first = parts.first, parts.allSatisfy(first.isStackable) else { return nil }
        if parts.count == 1 { return first }
        return try? QuantizedWeight(
            outputs: parts.reduce(0) { $0 + $1.outputs }, inputs: first.inputs, bits: first.bits,
            groupSize: first.groupSize, codes: parts.flatMap(\.codes), scales: parts.flatMap(\.scales),
            scaleType: first.scaleType, zeros: first.zeros == nil ? nil : parts.flatMap { $0.zeros ?? [] },
            groupIndex: first.groupIndex)
    }
}

/// A part of a quantised weight that does not fit the others.
public struct QuantizedWeightError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The part.
    public let part: String
    /// What was expected.
    public let expected: String
    /// What came.
    public let actual: String

    /// What is wrong with a part.
    public init(part: String, expected: String, actual: String) {
        self.part = part
        self.expected = expected
        self.actual = actual
    }

    /// The part, what was expected and what came.
    public var description: String { "\(part) of a quantised weight: expected \(expected), got \(actual)" }
}
