import Foundation
import TensorCore
import Testing

/// Mutated files either load, and then every tensor lies within its bounds, or throw a typed error.
@Suite struct SafetensorsFuzzTests {
    static let rounds = 120_000

    private static let seeds: [[UInt8]] = {
        let numbers = Tensor.random(uniform: [4, 3], seed: 5)
        let small = (try? SafetensorsFile.bytes([("w", numbers)])) ?? []
        let many =
            (try? SafetensorsFile.bytes(
                DType.allCases.map { ("layer.\($0.rawValue)", numbers.converted(to: $0)) }, metadata: ["format": "pt"]))
            ?? []
        let edges =
            (try? SafetensorsFile.bytes([("empty", Tensor(zeros: [0])), ("scalar", Tensor(zeros: []))])) ?? []
        return [small, many, edges]
    }()

    @Test func mutatedFilesNeverCrash() {
        var random = CounterRandom(seed: 2026)
        var loaded = 0
        var refused = 0
        var checksum = 0
        for _ in 0..<Self.rounds {
            let bytes = Self.mutate(Self.seeds[Int.random(in: 0..<Self.seeds.count, using: &random)], &random)
            do {
                let file = try SafetensorsFile(bytes: bytes)
                loaded += 1
                for name in file.names { checksum &+= touch(file[name]) }
            } catch {
                refused += 1
            }
        }
        // Both happen often, so neither branch is tested in vain.
        #expect(loaded > Self.rounds / 50)
        #expect(refused > Self.rounds / 2)
        #expect(loaded + refused == Self.rounds)
        #expect(checksum != 1)
    }

    @Test func mutatedFilesOnDiskNeverCrash() throws {
        var random = CounterRandom(seed: 9)
        let path = NSTemporaryDirectory() + "zoo-fuzz-\(UUID().uuidString).safetensors"
        defer { try? FileManager.default.removeItem(atPath: path) }
        for _ in 0..<500 {
            let bytes = Self.mutate(Self.seeds[Int.random(in: 0..<Self.seeds.count, using: &random)], &random)
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            if let file = try? SafetensorsFile(path: path) {
                for name in file.names { _ = touch(file[name]) }
            }
        }
    }

    /// Reads every element: a view out of bounds would fault or disagree with its count.
    private func touch(_ tensor: Tensor?) -> Int {
        guard let tensor else { return 0 }
        let numbers = tensor.doubles()
        #expect(numbers.count == tensor.count)
        return numbers.first.map { $0.isNaN ? 0 : Int(bitPattern: UInt($0.bitPattern)) } ?? 0
    }

    private static func mutate(_ original: [UInt8], _ random: inout CounterRandom) -> [UInt8] {
        var bytes = original
        for _ in 0...Int.random(in: 0..<3, using: &random) {
            guard bytes.count > 9 else { break }
            let headerEnd = min(bytes.count, 8 + (Int(bytes[0]) | Int(bytes[1]) << 8))
            let inHeader = headerEnd > 8 ? Int.random(in: 8..<headerEnd, using: &random) : 8
            let anywhere = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<11, using: &random) {
            case 0: bytes[anywhere] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes[inHeader] = UInt8.random(in: 0...255, using: &random)
            case 2: bytes.removeLast(Int.random(in: 0...bytes.count, using: &random))
            case 3: bytes.insert(UInt8.random(in: 32..<127, using: &random), at: inHeader)
            case 4: bytes.remove(at: inHeader)
            case 5:
                // A digit of a shape or an offset becomes another.
                let digits = (8..<headerEnd).filter { (0x30...0x39).contains(bytes[$0]) }
                if let place = digits.randomElement(using: &random) {
                    bytes[place] = UInt8.random(in: 0x30...0x39, using: &random)
                }
            case 6: bytes[Int.random(in: 0..<8, using: &random)] = UInt8.random(in: 0...255, using: &random)
            case 7:
                let end = min(bytes.count, inHeader + Int.random(in: 1...40, using: &random))
                bytes.insert(contentsOf: Array(bytes[inHeader..<end]), at: inHeader)
            case 8:
                let other = seeds[Int.random(in: 0..<seeds.count, using: &random)]
                bytes = Array(bytes[..<anywhere]) + other.suffix(from: min(anywhere, other.count))
            case 9: bytes[headerEnd < bytes.count ? headerEnd : bytes.count - 1] ^= 0xff
            default:
                // Keep the header's length true after an edit, so that the parser gets further.
                bytes.insert(0x20, at: headerEnd)
                let length = headerEnd - 8 + 1
                bytes[0] = UInt8(length & 255)
                bytes[1] = UInt8(length >> 8 & 255)
            }
        }
        return bytes
    }
}
