#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A safetensors file: tensors by name, viewed where they lie.
///
/// The format (Hugging Face safetensors): eight bytes of header length, little-endian; a JSON header; the data.
/// Everything is checked when the file is opened, so that taking a tensor out cannot fail for what the file says.
public struct SafetensorsFile: Sendable {
    /// The longest header that is read, as in the reference implementation.
    public static let maximumHeaderBytes = 100_000_000

    /// Free text that the writer left.
    public let metadata: [String: String]
    /// Names in the order of the data.
    public let names: [String]
    private let tensors: [String: Tensor]

    /// Opens a file, memory-mapped: a tensor's pages are read when they are used.
    ///
    /// Cost: O(header).
    /// - Throws: ``SafetensorsError``.
    public init(path: String) throws(SafetensorsError) {
        let storage = try Self.map(path)
        try self.init(storage)
    }

    /// Reads a file that is in memory; the bytes are copied once.
    /// - Throws: ``SafetensorsError``.
    public init(bytes: [UInt8]) throws(SafetensorsError) {
        let storage = Storage(byteCount: bytes.count)
        bytes.withUnsafeBytes { source in
            if let start = source.baseAddress { storage.base.copyMemory(from: start, byteCount: source.count) }
        }
        try self.init(storage)
    }

    private init(_ storage: Storage) throws(SafetensorsError) {
        let count = storage.byteCount
        guard count >= 8 else { throw .truncated(bytes: count) }
        let length = UInt64(littleEndian: storage.base.loadUnaligned(as: UInt64.self))
        let limit = min(count - 8, Self.maximumHeaderBytes)
        guard length <= UInt64(limit) else { throw .headerTooLong(length: length, limit: limit) }
        let dataStart = 8 + Int(length)
        let header = try SafetensorsHeader(UnsafeRawBufferPointer(start: storage.base + 8, count: Int(length)))
        let entries = header.entries.sorted { ($0.begin, $0.end, $0.name) < ($1.begin, $1.end, $1.name) }
        var tensors: [String: Tensor] = [:]
        var position = 0
        for entry in entries {
            try Self.check(entry, dataBytes: count - dataStart, expectedBegin: position)
            position = entry.end
            tensors[entry.name] = Self.view(entry, storage, dataStart)
        }
        guard position == count - dataStart else { throw .trailingBytes(count: count - dataStart - position) }
        metadata = header.metadata
        names = entries.map(\.name)
        self.tensors = tensors
    }

    private static func check(
        _ entry: SafetensorsHeader.Entry, dataBytes: Int, expectedBegin: Int
    ) throws(SafetensorsError) {
        guard entry.begin <= entry.end, entry.end <= dataBytes else {
            throw .offsetsOutOfRange(tensor: entry.name, begin: entry.begin, end: entry.end, dataBytes: dataBytes)
        }
        guard entry.begin == expectedBegin else {
            throw .overlapOrHole(tensor: entry.name, expectedBegin: expectedBegin, actualBegin: entry.begin)
        }
        var bytes = entry.dtype.byteWidth
        var isEmpty = false
        for extent in entry.shape {
            // An empty tensor may have any other extents, but strides must not overflow either.
            let (product, overflow) = bytes.multipliedReportingOverflow(by: max(1, extent))
            guard !overflow else { throw .shapeOverflow(tensor: entry.name) }
            bytes = product
            isEmpty = isEmpty || extent == 0
        }
        let expected = isEmpty ? 0 : bytes
        guard expected == entry.end - entry.begin else {
            throw .sizeMismatch(tensor: entry.name, expected: expected, actual: entry.end - entry.begin)
        }
    }

    private static func view(_ entry: SafetensorsHeader.Entry, _ storage: Storage, _ dataStart: Int) -> Tensor {
        let shape = Shape(entry.shape)
        let start = dataStart + entry.begin
        let width = entry.dtype.byteWidth
        if start % width == 0 {
            return Tensor(
                dtype: entry.dtype, shape: shape, strides: shape.rowMajorStrides, offset: start / width,
                storage: storage)
        }
        // Loads need alignment to the element's width; a file need not give it.
        let tensor = Tensor(zeros: shape, dtype: entry.dtype)
        tensor.freshMutableAddress.copyMemory(from: storage.base + start, byteCount: shape.count * width)
        return tensor
    }

    /// The tensor of a name: a view of the mapped file.
    ///
    /// Cost: O(1).
    /// - Throws: ``SafetensorsError/unknownTensor(name:known:)``.
    public func tensor(named name: String) throws(SafetensorsError) -> Tensor {
        guard let tensor = tensors[name] else { throw .unknownTensor(name: name, known: names) }
        return tensor
    }

    /// The tensor of a name, or `nil`.
    public subscript(name: String) -> Tensor? { tensors[name] }

    private static func map(_ path: String) throws(SafetensorsError) -> Storage {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path: path, reason: errorText()) }
        defer { close(descriptor) }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else { throw .unreadable(path: path, reason: errorText()) }
        guard facts.st_mode & S_IFMT == S_IFREG else { throw .unreadable(path: path, reason: "not a regular file") }
        let length = Int(facts.st_size)
        guard length >= 8 else { throw .truncated(bytes: length) }
        guard let base = mmap(nil, length, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
            throw .unreadable(path: path, reason: errorText())
        }
        return Storage(adopting: base, byteCount: length, isWritable: false) { munmap($0, length) }
    }

    static func errorText() -> String { String(cString: strerror(errno)) }
}
