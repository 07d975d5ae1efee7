/// What is wrong with a safetensors file.
///
/// Each case names the place and the numbers.
public enum SafetensorsError: Error, Sendable, Hashable {
    /// The file cannot be opened, mapped or written.
    case unreadable(path: String, reason: String)
    /// The file is shorter than its eight-byte header length.
    case truncated(bytes: Int)
    /// The header's length is beyond the file or beyond 100 MB.
    case headerTooLong(length: UInt64, limit: Int)
    /// The header is not the JSON this format allows.
    case malformedHeader(reason: String, byte: Int)
    /// A name occurs twice.
    case duplicateName(String)
    /// An element type that this library does not read.
    case unknownDType(tensor: String, dtype: String)
    /// A tensor's entry lacks a field, or a field has another type.
    case invalidField(tensor: String, field: String, expected: String)
    /// A tensor's bytes are not inside the data.
    case offsetsOutOfRange(tensor: String, begin: Int, end: Int, dataBytes: Int)
    /// The number of bytes is not that of shape and element type.
    case sizeMismatch(tensor: String, expected: Int, actual: Int)
    /// Shape times element width exceeds what memory can address.
    case shapeOverflow(tensor: String)
    /// Two tensors share bytes, or bytes belong to no tensor.
    case overlapOrHole(tensor: String, expectedBegin: Int, actualBegin: Int)
    /// Bytes after the last tensor.
    case trailingBytes(count: Int)
    /// No tensor has this name.
    case unknownTensor(name: String, known: [String])
}

extension SafetensorsError: CustomStringConvertible {
    /// One sentence.
    public var description: String {
        switch self {
        case .unreadable(let path, let reason):
            return "\(path): \(reason)"
        case .truncated(let bytes):
            return "the file has \(bytes) bytes; a safetensors file begins with an eight-byte header length"
        case .headerTooLong(let length, let limit):
            return "the header claims \(length) bytes, but at most \(limit) are possible"
        case .malformedHeader(let reason, let byte):
            return "the header is malformed at byte \(byte): \(reason)"
        case .duplicateName(let name):
            return "the header names '\(name)' twice"
        case .unknownDType(let tensor, let dtype):
            return "tensor '\(tensor)' has dtype '\(dtype)'; readable are "
                + DType.allCases.map(\.rawValue).joined(separator: ", ")
        case .invalidField(let tensor, let field, let expected):
            return "tensor '\(tensor)': field '\(field)' must be \(expected)"
        case .offsetsOutOfRange(let tensor, let begin, let end, let dataBytes):
            return "tensor '\(tensor)' lies at bytes \(begin) to \(end), but the data has \(dataBytes) bytes"
        case .sizeMismatch(let tensor, let expected, let actual):
            return "tensor '\(tensor)' needs \(expected) bytes for its shape and dtype, but its offsets span \(actual)"
        case .shapeOverflow(let tensor):
            return "tensor '\(tensor)' is larger than memory can address"
        case .overlapOrHole(let tensor, let expected, let actual):
            return "tensor '\(tensor)' begins at byte \(actual), but the tensor before it ends at byte \(expected)"
        case .trailingBytes(let count):
            return "\(count) bytes after the last tensor belong to none"
        case .unknownTensor(let name, let known):
            return "no tensor is called '\(name)'; the file has \(known.joined(separator: ", "))"
        }
    }
}
