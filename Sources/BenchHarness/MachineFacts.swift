import Foundation
public import Kernels

/// What a measurement was made on: without it a number means nothing.
public struct MachineFacts: Sendable, Hashable, Codable {
    /// The processor's name.
    public let cpu: String
    /// Processors that this process may use.
    public let cores: Int
    /// Instruction sets that kernels exist for and the processor has.
    public let isas: [String]
    /// The instruction set in use.
    public let isa: String
    /// Threads in use.
    public let threads: Int
    /// Bytes of a core's first-level data cache.
    public let l1DataBytes: Int
    /// Bytes of a core's second-level cache.
    public let l2Bytes: Int
    /// Bytes of the last-level cache.
    public let l3Bytes: Int
    /// Bytes of memory.
    public let memoryBytes: UInt64
    /// Operating system and kernel.
    public let os: String
    /// The compiler that built this program.
    public let swift: String
    /// When the facts were taken, in UTC.
    public let date: String

    /// The facts of now.
    public init(_ context: ComputeContext) {
        let facts = CPUFacts.current
        cpu = facts.model
        cores = facts.cores
        isas = facts.isas
        isa = context.isa
        threads = context.threads
        l1DataBytes = facts.l1DataBytes
        l2Bytes = facts.l2Bytes
        l3Bytes = facts.l3Bytes
        memoryBytes = ProcessInfo.processInfo.physicalMemory
        os = Self.operatingSystem()
        swift = Self.compiler
        date = Date.now.formatted(.iso8601)
    }

    /// A few lines for the head of a table.
    public var lines: [String] {
        [
            "\(cpu), \(cores) \(cores == 1 ? "core" : "cores"), \(isas.joined(separator: " "))",
            "caches L1d \(Quantity.bytes(l1DataBytes)), L2 \(Quantity.bytes(l2Bytes)), "
                + "L3 \(Quantity.bytes(l3Bytes)); memory \(Quantity.bytes(Int(clamping: memoryBytes)))",
            "\(os); Swift \(swift); \(date)",
            "kernels \(isa), \(threads) \(threads == 1 ? "thread" : "threads")",
        ]
    }

    private static var compiler: String {
        #if compiler(>=6.4)
            "6.4 or later"
        #elseif compiler(>=6.3)
            "6.3"
        #else
            "6.2"
        #endif
    }

    private static func operatingSystem() -> String {
        #if os(Linux)
            let text = (try? String(contentsOfFile: "/etc/os-release", encoding: .utf8)) ?? ""
            let line = text.split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") }
            let name = line.map { $0.dropFirst("PRETTY_NAME=".count).trimmingCharacters(in: ["\""]) } ?? "Linux"
            let kernel = (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)) ?? ""
            return "\(name), kernel \(kernel.trimmingCharacters(in: .whitespacesAndNewlines))"
        #else
            return "macOS \(ProcessInfo.processInfo.operatingSystemVersionString)"
        #endif
    }
}
