// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "AttentionZoo",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "AttentionZoo", targets: ["AttentionZoo"]),
        .library(name: "AttentionTesting", targets: ["AttentionTesting"]),
        .library(name: "BenchHarness", targets: ["BenchHarness"]),
        .library(name: "OpenAIServer", targets: ["OpenAIServer"]),
        .library(name: "CZooPlugin", targets: ["CZooPlugin"]),
        .executable(name: "zoo", targets: ["zoo"]),
        // Example plugins.
        .library(name: "PlainPlugin", type: .dynamic, targets: ["PlainPlugin"]),
        .library(name: "LeakyPlugin", type: .dynamic, targets: ["LeakyPlugin"]),
        .library(name: "SwiftPlugin", type: .dynamic, targets: ["SwiftPlugin"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.34.1"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.30.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // Floor 0: C.
        .systemLibrary(
            name: "COpenBLAS", pkgConfig: "openblas",
            providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
        // Kernels stay optimised in debug builds: unoptimised vector code is fifty times slower.
        .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),
        // The C ABI of plugins: a header.
        .target(name: "CZooPlugin"),

        // Floor 1: data.
        .target(name: "TensorCore"),
        .target(name: "Tokenizers"),
        .target(name: "ResourceBundle"),

        // Floor 2: the only Swift that imports C.
        .target(name: "Kernels", dependencies: ["CKernels", "COpenBLAS", "TensorCore"]),

        // Floor 3: contracts.
        .target(name: "AttentionCore", dependencies: ["Kernels", "TensorCore"]),

        // Floor 4: the zoo.
        .target(
            name: "AttentionOperators",
            dependencies: ["AttentionCore", "Kernels", "TensorCore"],
            plugins: ["RegistryPlugin"]),
        .target(
            name: "OperatorPlugins", dependencies: ["AttentionCore", "CZooPlugin", "Kernels", "TensorCore"]),
        .target(name: "Quantization", dependencies: ["Kernels", "TensorCore"]),

        // Floor 5: models.
        .target(
            name: "TransformerBlocks",
            dependencies: [
                "AttentionCore", "Kernels", "Quantization", "TensorCore", "Tokenizers",
                .product(name: "Yams", package: "Yams"),
            ]),

        // Floor 6: generation.
        .target(
            name: "PagedEngine",
            dependencies: ["AttentionCore", "Kernels", "TensorCore", "Tokenizers", "TransformerBlocks"]),

        // Beside the floors: the model that comes with the project.
        .target(name: "DefaultModel", dependencies: ["ResourceBundle"], resources: [.copy("Resources/default-model")]),

        // Floor 7: the server. Nothing below knows of it.
        .target(
            name: "OpenAIServer",
            dependencies: [
                "PagedEngine", "ResourceBundle", "TensorCore", "Tokenizers", "TransformerBlocks",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ], resources: [.copy("Resources")]),

        // Floor 8: the command line.
        .executableTarget(
            name: "zoo",
            dependencies: [
                "AttentionOperators", "AttentionCore", "BenchHarness", "DefaultModel", "Kernels", "OpenAIServer",
                "OperatorPlugins", "PagedEngine", "Quantization", "ResourceBundle", "TensorCore", "Tokenizers",
                "TransformerBlocks",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Yams", package: "Yams"),
            ],
            resources: [.copy("Resources/minilm-layer.safetensors")]),

        // Beside the floors.
        .target(
            name: "AttentionZoo",
            dependencies: [
                "AttentionOperators", "AttentionCore", "Kernels", "OperatorPlugins", "PagedEngine", "Quantization",
                "TensorCore", "Tokenizers", "TransformerBlocks",
            ]),
        .target(name: "AttentionTesting", dependencies: ["AttentionCore", "Kernels", "TensorCore"]),
        .target(name: "BenchHarness", dependencies: ["AttentionCore", "Kernels", "TensorCore"]),

        // Examples of plugins: they see the header and nothing else.
        .target(
            name: "PlainPlugin", dependencies: ["CZooPlugin"], path: "Examples/Plugins/C",
            publicHeadersPath: ".",
            cSettings: [.unsafeFlags(["-O3"])]),
        .target(
            name: "LeakyPlugin", dependencies: ["CZooPlugin"], path: "Examples/Plugins/Leaky",
            publicHeadersPath: ".",
            cSettings: [.unsafeFlags(["-O3"])]),
        .target(name: "SwiftPlugin", dependencies: ["CZooPlugin"], path: "Examples/Plugins/Swift"),

        // Tools.
        .executableTarget(name: "registrygen"),
        .target(name: "CAllocationGauge"),
        .executableTarget(
            name: "memorygauge",
            dependencies: [
                "AttentionCore", "AttentionOperators", "AttentionTesting", "CAllocationGauge", "Kernels", "TensorCore",
            ]),
        .plugin(name: "RegistryPlugin", capability: .buildTool(), dependencies: ["registrygen"]),

        // Tests.
        .testTarget(name: "TensorCoreTests", dependencies: ["TensorCore"]),
        .testTarget(name: "TokenizersTests", dependencies: ["Tokenizers"]),
        .testTarget(name: "KernelsTests", dependencies: ["Kernels", "TensorCore"]),
        .testTarget(name: "QuantizationTests", dependencies: ["Quantization", "Kernels", "TensorCore"]),
        .testTarget(
            name: "AttentionCoreTests",
            dependencies: [
                "AttentionCore", "AttentionTesting", "Kernels", "TensorCore", "registrygen",
                .product(name: "Yams", package: "Yams"),
            ]),
        .testTarget(
            name: "AttentionOperatorsTests",
            dependencies: ["AttentionOperators", "AttentionCore", "AttentionTesting", "Kernels", "TensorCore"]),
        .testTarget(
            name: "OperatorPluginsTests",
            dependencies: [
                "OperatorPlugins", "AttentionOperators", "AttentionCore", "AttentionTesting", "Kernels", "TensorCore",
            ]),
        .testTarget(
            name: "TransformerBlocksTests",
            dependencies: [
                "TransformerBlocks", "AttentionOperators", "AttentionCore", "Kernels", "Quantization", "TensorCore",
                "Tokenizers",
            ]),
        .testTarget(
            name: "PagedEngineTests",
            dependencies: [
                "PagedEngine", "AttentionOperators", "AttentionCore", "Kernels", "TensorCore", "Tokenizers",
                "TransformerBlocks",
            ]),
        .testTarget(
            name: "OpenAIServerTests",
            dependencies: [
                "OpenAIServer", "PagedEngine", "Tokenizers", "TransformerBlocks",
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ]),
        .testTarget(
            name: "DefaultModelTests",
            dependencies: [
                "DefaultModel", "TransformerBlocks", "AttentionOperators", "AttentionCore", "TensorCore", "Tokenizers",
            ]),
        .testTarget(
            name: "ZooTests",
            dependencies: [
                "zoo", "AttentionZoo", "BenchHarness", "AttentionOperators", "AttentionCore", "AttentionTesting",
                "Kernels",
                "TensorCore",
            ]),
    ],
    swiftLanguageModes: [.v6]
)

/// Every Swift target speaks the same dialect.
let inC = ["CAllocationGauge", "CKernels", "CZooPlugin", "PlainPlugin", "LeakyPlugin"]
for target in package.targets where ![.system, .plugin].contains(target.type) && !inC.contains(target.name) {
    target.swiftSettings =
        (target.swiftSettings ?? []) + [
            .enableUpcomingFeature("ExistentialAny"),
            .enableUpcomingFeature("MemberImportVisibility"),
            .enableUpcomingFeature("InternalImportsByDefault"),
        ]
}
