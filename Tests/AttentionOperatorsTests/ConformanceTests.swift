import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// Every operator of the registry on every instruction set of this CPU.
@Suite struct ConformanceTests {
    static let ids = OperatorRegistry.builtIn.entries.map(\.id)

    /// Cases that `paged` alone does not have to itself.
    private static let contiguous = ConformanceCases.standard.filter { $0.pages == nil }

    /// How many standard cases an operator must accept: all but Double storage, which `full` alone has; `local` also
    /// needs a window, and others take less by their nature.
    static func minimumAccepted(_ id: String) -> Int {
        switch id {
        case "local": 80
        // As many queries as keys, no groups, nothing that acts on scores, and no causal mask.
        case "fourier-mix": 19
        case "pooling": 39
        case "visual": 13
        // No masks but causal ones.
        case "lambda": 150
        // No masks but padding; favor takes causal too.
        case "linformer", "nystrom", "orthoformer": 104
        case "favor": 214
        case "full": contiguous.filter { $0.hasInt8Keys != true }.count
        case "paged": ConformanceCases.standard.filter { $0.dtype != .float64 }.count
        case "flash", "grouped-query", "memory-efficient": contiguous.filter { $0.dtype != .float64 }.count
        // INT8 keys and values are read by the streaming operators alone.
        default: contiguous.filter { $0.dtype != .float64 && $0.hasInt8Keys != true }.count
        }
    }

    @Test(arguments: ids)
    func standardCases(id: String) throws {
        let report = ConformanceSuite.run(
            try OperatorRegistry.builtIn[id],
            contexts: try ComputeContext.availableISAs.map { try ComputeContext(threads: 2, isa: $0) },
            minimumAccepted: Self.minimumAccepted(id))
        #expect(report.isPassing, "\(id): \(report)")
    }

    @Test(arguments: ids, ComputeContext.availableISAs)
    func laws(id: String, isa: String) throws {
        let checks = PropertyChecks(
            try OperatorRegistry.builtIn[id], context: try ComputeContext(threads: 2, isa: isa))
        let report = checks.run()
        #expect(report.failures.isEmpty, "\(id) on \(isa): \(report.failures)")
        guard try OperatorRegistry.builtIn[id].capabilities.exactness == .exact else {
            // An approximation may refuse what its mathematics cannot honour, but not everything.
            #expect(
                report.inapplicable.count + report.unclaimed.count <= PropertyChecks.laws.count - 4,
                "\(id) refuses the problems of \(report.inapplicable)")
            return
        }
        #expect(report.inapplicable.isEmpty, "\(id) refuses the problems of \(report.inapplicable)")
    }

    @Test(arguments: ["local"])
    func windowsCoverMostCases(id: String) throws {
        // With a window that hides nothing, the windowed operator runs every case that has no mask expression.
        let cases = Self.contiguous.filter { $0.config["mask"] == nil && $0.config["window"] == nil }
            .map { original in
                var wide = original
                wide.config["window"] = [100_000, 100_000]
                return wide
            }
        let report = ConformanceSuite.run(
            try OperatorRegistry.builtIn[id], contexts: [try ComputeContext()], cases: cases,
            minimumAccepted: cases.filter { $0.dtype != .float64 }.count)
        #expect(report.isPassing, "\(report)")
    }

    @Test func optionsOfOperatorsDoNotChangeTheMathematics() throws {
        let variants: [(String, [String: ConfigurationValue])] = [
            ("flash", ["keyTile": 1, "queryTile": 1]), ("flash", ["keyTile": 96, "queryTile": 37]),
            ("flash", ["keyTile": 512, "queryTile": 1000]), ("memory-efficient", ["keyChunk": 7, "queryChunk": 5]),
            ("memory-efficient", ["keyChunk": 200, "queryChunk": 300]), ("grouped-query", ["keySplit": 64]),
            ("paged", ["keyTile": 1]), ("paged", ["keyTile": 300, "sharesPrefixes": false]),
        ]
        for (id, configuration) in variants {
            let cases = (id == "paged" ? ConformanceCases.standard : Self.contiguous)
                .filter { $0.dtype != .float64 && $0.headDim <= 64 }
            let report = ConformanceSuite.run(
                try OperatorRegistry.builtIn.make(id, configuration: configuration), contexts: [try ComputeContext()],
                cases: cases, minimumAccepted: cases.count)
            #expect(report.isPassing, "\(id) \(configuration): \(report)")
        }
    }

    @Test func unknownAndImpossibleOptionsAreRefused() {
        #expect(
            throws: AttentionError.unknownOperator(
                name: "flahs", suggestions: ["flash"], known: OperatorRegistry.builtIn.entries.map(\.id))
        ) { try OperatorRegistry.builtIn["flahs"] }
        #expect(throws: AttentionError.invalidOption(name: "keyTile", expected: "from 1 to 512", actual: "0")) {
            try OperatorRegistry.builtIn.make("flash", configuration: ["keyTile": 0])
        }
        #expect(throws: AttentionError.self) {
            try OperatorRegistry.builtIn.make("flash", configuration: ["keytile": 64])
        }
    }
}
