import AttentionZoo
import BenchHarness
import Benchmark
import Foundation

// Names are `case-operator` without blanks and slashes, since files of Thresholds/ are called by them:
//
//     swift package --package-path Benchmarks benchmark --filter "causal.*flash"
//
// What is measured has no unit of time: see `PeakRatio`.
let benchmarks: @Sendable () -> Void = {
    let registry = OperatorRegistry.builtIn
    for benchCase in regressionCases() {
        for entry in registry.entries {
            guard let configured = try? registry[entry.id],
                // Exact operators and block-sparse on every case, the others on the short one alone.
                entry.family == "exact" || entry.id == "block-sparse" || benchCase.preset == BenchPreset.quick.name,
                configured.unsupportedReasons(for: benchCase.problem).isEmpty
            else { continue }
            add(benchCase, configured)
        }
    }
}

/// One case of each kind: a slower kernel shows at any length at which it dominates.
@Sendable
func regressionCases() -> [BenchCase] {
    let chosen: [(BenchPreset, lengths: [Int])] = [
        (.lengths, [1024]), (.causal, [1024]), (.gqa, [512]), (.decode, [4096]), (.window, [2048]),
    ]
    var cases = chosen.flatMap { preset, lengths in
        var overrides = BenchPreset.Overrides()
        overrides.lengths = lengths
        return (try? preset.cases(minilmPath: "", overrides: overrides)) ?? []
    }
    cases.append(
        BenchCase(
            name: "full L256 D64", preset: BenchPreset.quick.name,
            problem: AttentionProblem(queryLength: 256, keyLength: 256, heads: 8, kvHeads: 8, headDim: 64)))
    return cases
}

/// Whether kernels alone decide the time; `full` keeps its scores in memory.
@Sendable
func steady(_ benchCase: BenchCase, _ configured: ConfiguredOperator) -> Bool {
    configured.id != "full" && !benchCase.isBandwidthBound && benchCase.preset != BenchPreset.quick.name
}

/// Registers one operator on one case; operands are made when the benchmark starts, not when it is listed.
@Sendable
func add(_ benchCase: BenchCase, _ configured: ConfiguredOperator) {
    let name = "\(benchCase.name)-\(configured.id)"
        .replacing(" ", with: "-").replacing("/", with: "on").replacing(",", with: "to")
    let configuration = Benchmark.Configuration(
        metrics: [PeakRatio.metric], warmupIterations: 0, maxDuration: .seconds(60), maxIterations: 1,
        // Measured against the peak of the same moment, a kernel that nobody touched stays within a fifth. What memory
        // bounds, and what short cases spend outside of kernels, moves with everything that the machine does.
        thresholds: [PeakRatio.metric: .init(relative: [.p90: steady(benchCase, configured) ? 20 : 75])])
    Benchmark(name, configuration: configuration) { benchmark, ratio in
        for _ in benchmark.scaledIterations {
            benchmark.measurement(PeakRatio.metric, try ratio.measure())
        }
    } setup: {
        try PeakRatio(benchCase, configured)
    }
}
