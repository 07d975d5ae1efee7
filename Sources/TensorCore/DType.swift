/// The element type of a tensor.
///
/// Raw values are the names safetensors files use.
public enum DType: String, Sendable, Hashable, Codable, CaseIterable {
    /// IEEE 754 binary64.
    case float64 = "F64"
    /// IEEE 754 binary32.
    case float32 = "F32"
    /// IEEE 754 binary16.
    case float16 = "F16"
    /// The upper half of binary32: eight exponent bits, seven fraction bits.
    case bfloat16 = "BF16"
    /// Signed 64-bit integer.
    case int64 = "I64"
    /// Signed 32-bit integer.
    case int32 = "I32"
    /// Signed 16-bit integer.
    case int16 = "I16"
    /// Signed 8-bit integer.
    case int8 = "I8"
    /// Unsigned 64-bit integer.
    case uint64 = "U64"
    /// Unsigned 32-bit integer.
    case uint32 = "U32"
    /// Unsigned 16-bit integer.
    case uint16 = "U16"
    /// Unsigned 8-bit integer.
    case uint8 = "U8"
    /// One byte, 0 or 1.
    case bool = "BOOL"

    /// Bytes one element takes.
    public var byteWidth: Int {
        switch self {
        case .float64, .int64, .uint64: 8
        case .float32, .int32, .uint32: 4
        case .float16, .bfloat16, .int16, .uint16: 2
        case .int8, .uint8, .bool: 1
        }
    }

    /// Whether elements are floating-point numbers.
    public var isFloatingPoint: Bool {
        switch self {
        case .float64, .float32, .float16, .bfloat16: true
        default: false
        }
    }
}

/// A Swift type that is the in-memory form of a ``DType``.
public protocol TensorElement: Sendable {
    /// The element type as a value.
    static var dtype: DType { get }
}

extension Double: TensorElement {
    /// ``DType/float64``.
    public static var dtype: DType { .float64 }
}
extension Float: TensorElement {
    /// ``DType/float32``.
    public static var dtype: DType { .float32 }
}
extension Int64: TensorElement {
    /// ``DType/int64``.
    public static var dtype: DType { .int64 }
}
extension Int32: TensorElement {
    /// ``DType/int32``.
    public static var dtype: DType { .int32 }
}
extension Int16: TensorElement {
    /// ``DType/int16``.
    public static var dtype: DType { .int16 }
}
extension Int8: TensorElement {
    /// ``DType/int8``.
    public static var dtype: DType { .int8 }
}
extension UInt64: TensorElement {
    /// ``DType/uint64``.
    public static var dtype: DType { .uint64 }
}
extension UInt32: TensorElement {
    /// ``DType/uint32``.
    public static var dtype: DType { .uint32 }
}
extension UInt16: TensorElement {
    /// ``DType/uint16``.
    public static var dtype: DType { .uint16 }
}
extension UInt8: TensorElement {
    /// ``DType/uint8``.
    public static var dtype: DType { .uint8 }
}
extension Bool: TensorElement {
    /// ``DType/bool``.
    public static var dtype: DType { .bool }
}
