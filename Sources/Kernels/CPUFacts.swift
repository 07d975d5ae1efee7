import CKernels
import Foundation

/// What this machine is: read once, used to size tiles and to label measurements.
public struct CPUFacts: Sendable, Hashable, Codable {
    /// The processor's name, or `unknown`.
    public let model: String
    /// Instruction sets that kernels exist for and this CPU has, slowest first.
    public let isas: [String]
    /// Processors that this process may use.
    public let cores: Int
    /// Bytes of one core's first-level data cache.
    public let l1DataBytes: Int
    /// Bytes of one core's second-level cache.
    public let l2Bytes: Int
    /// Bytes of the last-level cache.
    public let l3Bytes: Int

    /// The facts of the machine this process runs on.
    public static let current = CPUFacts(
        model: modelName(), isas: KernelTable.available.map(\.name), cores: availableCores(),
        l1DataBytes: cacheBytes(level: 1) ?? 32 << 10, l2Bytes: cacheBytes(level: 2) ?? 1 << 20,
        l3Bytes: cacheBytes(level: 3) ?? 8 << 20)

    private static func availableCores() -> Int {
        let allowed = Int(zoo_allowed_cpus())
        return allowed > 0 ? allowed : max(1, ProcessInfo.processInfo.activeProcessorCount)
    }

    #if os(Linux)
        private static func modelName() -> String {
            let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
            let line = text.split(separator: "\n").first { $0.hasPrefix("model name") || $0.hasPrefix("Model") }
            let name = line?.split(separator: ":", maxSplits: 1).last
            return name.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
        }

        private static func cacheBytes(level: Int) -> Int? {
            for index in 0..<8 {
                let directory = "/sys/devices/system/cpu/cpu0/cache/index\(index)/"
                func read(_ file: String) -> String? {
                    let text = try? String(contentsOfFile: directory + file, encoding: .utf8)
                    return text?.trimmingCharacters(in: .whitespacesAndNewlines)
                }
                guard read("level") == "\(level)", read("type") != "Instruction", let size = read("size") else {
                    continue
                }
                let digits = Int(size.prefix { $0.isNumber })
                return digits.map { $0 * (size.hasSuffix("M") ? 1 << 20 : size.hasSuffix("K") ? 1 << 10 : 1) }
            }
            return nil
        }
    #else
        private static func modelName() -> String {
            var size = 0
            sysctlbyname("machdep.cpu.brand_string", nil, &size, nil, 0)
            var bytes = [UInt8](repeating: 0, count: max(1, size))
            guard sysctlbyname("machdep.cpu.brand_string", &bytes, &size, nil, 0) == 0 else { return "unknown" }
            return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }

        private static func cacheBytes(level: Int) -> Int? {
            let names = [1: "hw.l1dcachesize", 2: "hw.l2cachesize", 3: "hw.l3cachesize"]
            var value: Int64 = 0
            var size = MemoryLayout<Int64>.size
            guard let name = names[level], sysctlbyname(name, &value, &size, nil, 0) == 0, value > 0 else { return nil }
            return Int(value)
        }
    #endif
}
