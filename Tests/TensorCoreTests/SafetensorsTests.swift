import Foundation
import TensorCore
import Testing

@Suite struct SafetensorsTests {
    @Test func everyElementTypeRoundTrips() throws {
        let numbers = Tensor.random(uniform: [3, 5], seed: 1, amplitude: 100)
        let tensors = DType.allCases.map { ("t\($0.rawValue)", numbers.converted(to: $0)) }
        let file = try SafetensorsFile(bytes: SafetensorsFile.bytes(tensors, metadata: ["made by": "a \"test\"\n"]))
        #expect(file.metadata == ["made by": "a \"test\"\n"])
        for (name, tensor) in tensors { #expect(try file.tensor(named: name).bitwiseEquals(tensor)) }
    }

    @Test func filesAreMappedAndWrittenWhole() throws {
        let path = NSTemporaryDirectory() + "zoo-\(UUID().uuidString).safetensors"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let tensor = Tensor.random(uniform: [7], seed: 2)
        try SafetensorsFile.write([("é\u{1F600}", tensor), ("empty", Tensor(zeros: [0, 4]))], to: path)
        var mapped = try SafetensorsFile(path: path).tensor(named: "é\u{1F600}")
        #expect(mapped.bitwiseEquals(tensor))
        // Writing to a mapped tensor copies it: the file stays as it is.
        try mapped.withUnsafeMutableElements(Float.self) { $0[0] = 42 }
        #expect(try SafetensorsFile(path: path).tensor(named: "é\u{1F600}").bitwiseEquals(tensor))
        #expect(try SafetensorsFile(path: path).tensor(named: "empty").shape == [0, 4])
    }

    @Test func missingFilesAndFoldersAreNamed() {
        #expect(throws: SafetensorsError.unreadable(path: "/nowhere/x", reason: "No such file or directory")) {
            try SafetensorsFile(path: "/nowhere/x")
        }
        #expect(throws: SafetensorsError.unreadable(path: "/tmp", reason: "not a regular file")) {
            try SafetensorsFile(path: "/tmp")
        }
        #expect(throws: SafetensorsError.self) {
            try SafetensorsFile.write([("x", Tensor(zeros: [1]))], to: "/nowhere/x")
        }
    }

    @Test func duplicateNamesAreNotWritten() {
        #expect(throws: SafetensorsError.duplicateName("x")) {
            try SafetensorsFile.bytes([("x", Tensor(zeros: [1])), ("x", Tensor(zeros: [1]))])
        }
    }

    /// A file with the given header and that many bytes of data.
    static func file(_ header: String, data: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8)
            + [UInt8](repeating: 1, count: data)
    }

    static let hostile: [(header: String, data: Int, error: SafetensorsError)] = [
        (
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
            12, .overlapOrHole(tensor: "b", expectedBegin: 8, actualBegin: 4)
        ),
        (
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8,
            .overlapOrHole(tensor: "a", expectedBegin: 0, actualBegin: 4)
        ),
        (
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 7,
            .offsetsOutOfRange(tensor: "a", begin: 0, end: 8, dataBytes: 7)
        ),
        (
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8,
            .offsetsOutOfRange(tensor: "a", begin: 8, end: 0, dataBytes: 8)
        ),
        (
            #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8,
            .sizeMismatch(tensor: "a", expected: 12, actual: 8)
        ),
        (
            #"{"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}"#, 8,
            .unknownDType(tensor: "a", dtype: "F8_E4M3")
        ),
        (
            #"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#, 8,
            .malformedHeader(reason: "expected a whole number from 0 up", byte: 29)
        ),
        (
            #"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#, 8,
            .shapeOverflow(tensor: "a")
        ),
        (
            #"{"a":{"dtype":"F32","shape":[0,9223372036854775807,9],"data_offsets":[0,0]}}"#, 0,
            .shapeOverflow(tensor: "a")
        ),
        (
            #"{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}}"#, 8,
            .malformedHeader(reason: "a number is too large", byte: 47)
        ),
        (
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
            8,
            .duplicateName("a")
        ),
        (#"{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8, .duplicateName("a.dtype")),
        (
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#, 8,
            .malformedHeader(reason: "expected '}'", byte: 53)
        ),
        (
            #"{"a":{"dtype":"F32","shape":[2]}}"#, 0,
            .invalidField(tensor: "a", field: "data_offsets", expected: "[begin, end]")
        ),
        (
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}"#, 0,
            .invalidField(tensor: "a", field: "data_offsets", expected: "[begin, end]")
        ),
        (
            #"{"a":{"dtype":"F32","shape":[2],"colour":[0]}}"#, 0,
            .invalidField(tensor: "a", field: "colour", expected: "absent")
        ),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 6, .trailingBytes(count: 2)),
        ("[]", 0, .malformedHeader(reason: "expected '{'", byte: 0)),
        (#"{"a\ud800":1}"#, 0, .malformedHeader(reason: "a surrogate stands alone", byte: 9)),
        (
            #"{"a":{"dtype":"F32","shape":[[[[[[[["# + String(repeating: "[", count: 100_000), 0,
            .malformedHeader(reason: "expected a whole number from 0 up", byte: 29)
        ),
    ]

    @Test(arguments: hostile.indices)
    func hostileFilesAreRefused(index: Int) {
        let example = Self.hostile[index]
        #expect(throws: example.error) { try SafetensorsFile(bytes: Self.file(example.header, data: example.data)) }
    }

    @Test func shortAndLyingHeadersAreRefused() {
        #expect(throws: SafetensorsError.truncated(bytes: 7)) { try SafetensorsFile(bytes: [0, 0, 0, 0, 0, 0, 0]) }
        #expect(throws: SafetensorsError.headerTooLong(length: .max, limit: 2)) {
            try SafetensorsFile(bytes: [UInt8](repeating: 255, count: 8) + [0x7b, 0x7d])
        }
        #expect(throws: SafetensorsError.malformedHeader(reason: "a string is not UTF-8", byte: 4)) {
            try SafetensorsFile(bytes: [9, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x22, 0xff, 0x22, 0x3a, 0x7b, 0x7d, 0x7d, 0x20])
        }
    }

    @Test func misalignedTensorsAreReadSafely() throws {
        let header =
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}"#
        var bytes = Self.file(header, data: 1)
        bytes += withUnsafeBytes(of: Float(2.5)) { Array($0) }
        #expect(try SafetensorsFile(bytes: bytes).tensor(named: "b").floats() == [2.5])
    }
}
