#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

extension SafetensorsFile {
    /// The bytes of a file with the given tensors.
    ///
    /// Wider element types come first, so that every tensor is aligned.
    /// - Throws: ``SafetensorsError/duplicateName(_:)``.
    public static func bytes(
        _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:]
    ) throws(SafetensorsError) -> [UInt8] {
        let (header, ordered) = try layOut(tensors, metadata: metadata)
        var bytes = header
        for tensor in ordered { append(tensor, to: &bytes) }
        return bytes
    }

    /// Writes a file: whole or not at all, through a temporary beside it.
    /// - Throws: ``SafetensorsError`` when a name occurs twice or the system refuses.
    public static func write(
        _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:], to path: String
    ) throws(SafetensorsError) {
        let (header, ordered) = try layOut(tensors, metadata: metadata)
        let temporary = "\(path).\(getpid()).partial"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .unreadable(path: path, reason: errorText()) }
        do throws(SafetensorsError) {
            try write(header, to: descriptor, path: path)
            for tensor in ordered {
                // One tensor at a time, so that writing needs no second copy of all.
                var bytes: [UInt8] = []
                append(tensor, to: &bytes)
                try write(bytes, to: descriptor, path: path)
            }
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        guard close(descriptor) == 0, rename(temporary, path) == 0 else {
            let reason = errorText()
            unlink(temporary)
            throw .unreadable(path: path, reason: reason)
        }
    }

    private static func layOut(
        _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String]
    ) throws(SafetensorsError) -> (header: [UInt8], ordered: [Tensor]) {
        let ordered = tensors.sorted { ($1.tensor.dtype.byteWidth, $0.name) < ($0.tensor.dtype.byteWidth, $1.name) }
        var names: Set<String> = ["__metadata__"]
        var fields: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }.map { "\($0.key.quotedAsJSON):\($0.value.quotedAsJSON)" }
            fields.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
        }
        var position = 0
        for (name, tensor) in ordered {
            guard names.insert(name).inserted else { throw .duplicateName(name) }
            let end = position + tensor.count * tensor.dtype.byteWidth
            let shape = tensor.shape.dimensions.map(String.init).joined(separator: ",")
            fields.append(
                "\(name.quotedAsJSON):{\"dtype\":\"\(tensor.dtype.rawValue)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(position),\(end)]}")
            position = end
        }
        var header = Array("{\(fields.joined(separator: ","))}".utf8)
        header.append(contentsOf: [UInt8](repeating: 0x20, count: (8 - header.count % 8) % 8))
        let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
        return (length + header, ordered.map(\.tensor))
    }

    private static func append(_ tensor: Tensor, to bytes: inout [UInt8]) {
        let dense = tensor.contiguous()
        withExtendedLifetime(dense) {
            bytes.append(
                contentsOf: UnsafeRawBufferPointer(
                    start: dense.baseAddress, count: dense.count * dense.dtype.byteWidth))
        }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32, path: String) throws(SafetensorsError) {
        var sent = 0
        while sent < bytes.count {
            let step = bytes.withUnsafeBytes { buffer in
                #if canImport(Glibc)
                    Glibc.write(descriptor, buffer.baseAddress! + sent, buffer.count - sent)
                #else
                    Darwin.write(descriptor, buffer.baseAddress! + sent, buffer.count - sent)
                #endif
            }
            if step < 0 {
                if errno == EINTR { continue }
                throw .unreadable(path: path, reason: errorText())
            }
            sent += step
        }
    }
}
