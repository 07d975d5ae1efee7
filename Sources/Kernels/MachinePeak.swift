import CKernels
import Foundation
import Synchronization

/// What this machine can do at best, measured now: machines drift, so fractions are of a peak from the same run.
public enum MachinePeak {
    /// Billions of Float operations a second: independent multiply-adds on registers, on every thread.
    ///
    /// Takes 50 ms.
    public static func fmaGFLOPS(_ context: ComputeContext) -> Double {
        let kernel = context.kernels.c.pointee.peak_fma
        var rounds: Int64 = 100_000
        var best = 0.0
        for _ in 0..<4 {
            let operations = Mutex(0.0)
            let count = rounds
            let seconds = time {
                ThreadPool.shared.forEach(context.threads, threads: context.threads) { _, _ in
                    var sink: Float = 0
                    let done = kernel?(count, &sink) ?? 0
                    operations.withLock { $0 += done + Double(sink) * 1e-30 }
                }
            }
            best = max(best, operations.withLock { $0 } / seconds / 1e9)
            // The first pass sizes the others to about 12 ms each.
            rounds = max(rounds, Int64(Double(rounds) * 0.012 / max(seconds, 1e-6)))
        }
        return best
    }

    /// Billions of bytes a second: every thread reads memory far larger than the caches, in order.
    ///
    /// Takes 100 ms.
    public static func readGBPerSecond(_ context: ComputeContext) -> Double {
        let kernel = context.kernels.c.pointee.peak_read
        let count = max(64 << 20, CPUFacts.current.l3Bytes * 2) / 4
        let memory = UnsafeMutablePointer<Float>.allocate(capacity: count)
        defer { memory.deallocate() }
        memory.initialize(repeating: 1, count: count)
        let source = SendablePointer(memory)
        let slice = count / context.threads
        let sink = Mutex<Float>(0)
        var best = 0.0
        for _ in 0..<4 {
            let seconds = time {
                ThreadPool.shared.forEach(context.threads, threads: context.threads) { index, _ in
                    let sum = kernel?(source.base + index * slice, Int64(slice)) ?? 0
                    sink.withLock { $0 += sum }
                }
            }
            best = max(best, Double(slice * context.threads * 4) / seconds / 1e9)
        }
        return best
    }

    private static func time(_ body: () -> Void) -> Double {
        let start = ContinuousClock.now
        body()
        let elapsed = start.duration(to: .now).components
        return Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18
    }
}
