// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that users of the library never resolve a benchmark framework.
let package = Package(
    name: "AttentionBenchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        // The folder's name is the reader's choice; the name here is not.
        .package(name: "AttentionZoo", path: ".."),
        // Without its traits: jemalloc is not on every machine.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .executableTarget(
            name: "AttentionBenchmarks",
            dependencies: [
                .product(name: "AttentionZoo", package: "AttentionZoo"),
                .product(name: "BenchHarness", package: "AttentionZoo"),
                .product(name: "Benchmark", package: "benchmark"),
            ],
            path: "Benchmarks/AttentionBenchmarks",
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")])
    ],
    swiftLanguageModes: [.v6]
)
