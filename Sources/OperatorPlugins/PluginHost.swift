import CZooPlugin
import Kernels

/// What a plugin may ask of the host during one call.
final class PluginHost {
    private let context: ComputeContext
    /// What the plugin said when it failed.
    private(set) var message = ""

    init(_ context: ComputeContext) { self.context = context }

    /// Calls a plugin's function with the host's table; the table is valid during the call only.
    func call<Result>(_ body: (UnsafePointer<zoo_host>) -> Result) -> Result {
        var table = zoo_host()
        table.struct_size = UInt32(MemoryLayout<zoo_host>.size)
        table.abi_version = PluginLibrary.abiVersion
        table.threads = Int32(context.threads)
        table.context = Unmanaged.passUnretained(self).toOpaque()
        table.parallel_for = { host, count, body, state in
            guard let body, count > 0 else { return }
            PluginHost.of(host)?.spread(Int(count), ParallelBody(function: body, state: state))
        }
        table.fail = { host, message in
            guard let message else { return }
            PluginHost.of(host)?.message = String(cString: message)
        }
        return withExtendedLifetime(self) { withUnsafePointer(to: table) { body($0) } }
    }

    private static func of(_ table: UnsafePointer<zoo_host>?) -> PluginHost? {
        guard let context = table?.pointee.context else { return nil }
        return Unmanaged<PluginHost>.fromOpaque(context).takeUnretainedValue()
    }

    private func spread(_ count: Int, _ body: ParallelBody) {
        context.parallel(count) { index, worker in body.function(body.state, Int64(index), Int32(worker)) }
    }
}

/// A loop body in C.
///
/// Unchecked: the header asks plugins for bodies that may run on several threads at once.
private struct ParallelBody: @unchecked Sendable {
    let function: @convention(c) (UnsafeMutableRawPointer?, Int64, Int32) -> Void
    let state: UnsafeMutableRawPointer?
}
