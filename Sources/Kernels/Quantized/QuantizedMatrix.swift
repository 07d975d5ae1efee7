import CKernels
import TensorCore

/// A quantised weight in the order in which the kernels read it: panels of outputs, each a run of groups.
///
/// `Sources/CKernels/shared/quant.inl.h` has the layout. A group's inputs lie together, whatever their order in the weight,
/// padded to whole blocks of 32.
public struct QuantizedMatrix: Sendable {
    /// Features that come out.
    public let outputs: Int
    /// Features that go in.
    public let inputs: Int
    /// Bits of a code.
    public let bits: Int
    /// Groups of a row.
    public let groups: Int
    let panels: Tensor
    let panelWidth: Int
    let panelBytes: Int
    let groupBytes: Int
    /// Of a whole panel.
    let format: zoo_quant_format
    /// The input at each place of a row, -1 for none; `nil` when inputs lie as they come and only the end is padded.
    let order: Tensor?

    /// Bytes of this packed weight.
    package var byteCount: Int { panels.count + (order?.count ?? 0) * DType.int32.byteWidth }
    /// Where the panels lie.
    var region: MemoryRegion { MemoryRegion(panels.baseAddress, bytes: panels.count) }
    /// Places of a row: inputs, and what fills groups up.
    var places: Int { Int(format.groups * format.group_blocks) * Int(ZOO_QUANT_BLOCK) }

    /// Packs a weight.
    ///
    /// Cost: O(outputs · inputs).
    public init(_ weight: QuantizedWeight, context: ComputeContext) {
        let table = context.kernels
        let width = table.panelWidth
        let block = Int(ZOO_QUANT_BLOCK)
        let groups = weight.groups
        var members = [[Int32]](repeating: [], count: groups)
        for input in 0..<weight.inputs { members[weight.group(of: input)].append(Int32(input)) }
        let places = max(1, members.map(\.count).max() ?? 0).roundedUp(to: block)
        let order = members.flatMap { $0 + [Int32](repeating: -1, count: places - $0.count) }
        outputs = weight.outputs
        inputs = weight.inputs
        bits = weight.bits
        self.groups = groups
        panelWidth = width
        let isPlain = order.enumerated().allSatisfy {
            $0.element == ($0.offset < weight.inputs ? Int32($0.offset) : -1)
        }
        self.order = isPlain ? nil : Self.tensor(order)
        var format = zoo_quant_format(
            bits: Int32(weight.bits), code_bits: Int32(weight.bits), scale_dtype: weight.scaleType.kernelCode ?? 0,
            has_zeros: weight.zeros == nil ? 0 : 1, groups: Int64(groups), group_blocks: Int64(places / block))
        groupBytes = Int(table.c.pointee.quant_group_bytes(&format))
        panelBytes = groupBytes * groups
        self.format = format
        let panels = Tensor(unwritten: [weight.outputs.roundedUp(to: width) / width * panelBytes], dtype: .uint8)
        let target = SendablePointer(panels.freshMutableAddress)
        let (panelBytes, groupBytes) = (panelBytes, groupBytes)
        weight.codes.withUnsafeBufferPointer { codes in
            weight.scales.withUnsafeBufferPointer { scales in
                let zeros = weight.zeros ?? []
                zeros.withUnsafeBufferPointer { zeros in
                    let codes = SendablePointer(codes.baseAddress)
                    let scales = SendablePointer(scales.baseAddress)
                    let zeros = SendablePointer(weight.zeros == nil ? nil : zeros.baseAddress)
                    context.parallel((weight.outputs + width - 1) / width) { [format] panel, _ in
                        guard let codes = codes.base, let scales = scales.base else { return }
                        let first = panel * width
                        for group in 0..<groups {
                            withUnsafePointer(to: format) { format in
                                order.withUnsafeBufferPointer { order in
                                    table.c.pointee.quant_pack_group(
                                        target.base + panel * panelBytes + group * groupBytes, format,
                                        codes + first * weight.inputs, Int64(weight.inputs),
                                        order.baseAddress.map { $0 + group * places },
                                        scales + first * groups + group,
                                        zeros.base.map { $0 + first * groups + group }, Int64(groups),
                                        Int64(min(width, weight.outputs - first)))
                                }
                            }
                        }
                    }
                }
            }
        }
        self.panels = panels
    }

    private static func tensor(_ numbers: [Int32]) -> Tensor {
        let result = Tensor(unwritten: [numbers.count], dtype: .int32)
        numbers.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress {
                result.freshMutableAddress.copyMemory(from: base, byteCount: bytes.count)
            }
        }
        return result
    }
}

/// A weight of a product, in any form that kernels read.
public enum ProductWeight: Sendable {
    /// F32, F16 or BF16.
    case float(PackedMatrix)
    /// Few bits.
    case quantized(QuantizedMatrix)

    /// Features that come out.
    public var outputs: Int {
        switch self {
        case .float(let matrix): matrix.outputs
        case .quantized(let matrix): matrix.outputs
        }
    }

    /// Features that go in.
    public var inputs: Int {
        switch self {
        case .float(let matrix): matrix.inputs
        case .quantized(let matrix): matrix.inputs
        }
    }

    /// Bytes of the packed weight.
    package var byteCount: Int {
        switch self {
        case .float(let matrix): matrix.byteCount
        case .quantized(let matrix): matrix.byteCount
        }
    }

    /// Where the panels lie.
    var region: MemoryRegion {
        switch self {
        case .float(let matrix): matrix.region
        case .quantized(let matrix): matrix.region
        }
    }

    var panelWidth: Int {
        switch self {
        case .float(let matrix): matrix.panelWidth
        case .quantized(let matrix): matrix.panelWidth
        }
    }
}
