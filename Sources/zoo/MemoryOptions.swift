import ArgumentParser
import BenchHarness
import Kernels

/// The bytes that a call may take.
struct MemoryOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            The most bytes that one call may hold at once beyond its inputs, as 64MiB or 1GB. An operator makes do with fewer \
            by smaller tasks and fewer threads, with the same bits, or refuses and says how many it needs.
            """, valueName: "bytes"))
    var maxBytes: ByteCount?

    /// A context within the bytes.
    func limit(_ context: ComputeContext) -> ComputeContext { context.limited(toBytes: maxBytes?.bytes) }
}

/// A number of bytes: `4096`, `64KiB`, `1.5GB`.
struct ByteCount: ExpressibleByArgument, Sendable {
    let bytes: Int

    init?(argument: String) {
        guard let bytes = Quantity.bytes(from: argument) else { return nil }
        self.bytes = bytes
    }
}
