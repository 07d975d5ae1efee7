import AttentionZoo
import BenchHarness
import Benchmark
import Foundation

// Names are `preset / case / operator`, so that a filter chooses any of them:
//
//     swift package --package-path Benchmarks benchmark --filter "causal / .* / flash"
//     swift package --package-path Benchmarks benchmark baseline update main
//     swift package --package-path Benchmarks benchmark baseline compare main
let benchmarks: @Sendable () -> Void = {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../..")
    let minilm = root.appendingPathComponent("Sources/zoo/Resources/minilm-layer.safetensors").standardized.path
    let registry = OperatorRegistry.builtIn
    // `default` repeats the others.
    for preset in BenchPreset.all where preset.name != BenchPreset.default.name {
        guard let cases = try? preset.cases(minilmPath: minilm) else { continue }
        for benchCase in cases {
            for entry in registry.entries {
                guard let configured = try? registry[entry.id],
                    configured.unsupportedReasons(for: benchCase.problem).isEmpty
                else { continue }
                add("\(preset.name) / \(benchCase.name) / \(entry.id)", benchCase, configured)
            }
        }
    }
}

/// Registers one operator on one case; operands are made when the benchmark starts, not when it is listed.
@Sendable
func add(_ name: String, _ benchCase: BenchCase, _ configured: ConfiguredOperator) {
    let configuration = Benchmark.Configuration(
        metrics: [.wallClock, .cpuTotal, .peakMemoryResident], warmupIterations: 2, maxDuration: .seconds(3),
        maxIterations: 100,
        // Shared machines drift by a few percent; a slower kernel shows as far more.
        thresholds: [.wallClock: .init(relative: [.p50: 10])])
    Benchmark(name, configuration: configuration) { benchmark in
        let inputs = try benchCase.inputs()
        let context = try ComputeContext.shared()
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            blackHole(try configured.forward(inputs, options: benchCase.problem.options, context: context))
        }
        benchmark.stopMeasurement()
    }
}
