import AttentionCore
import BenchHarness
import Foundation
import TensorCore
import Testing

@Suite struct PresetTests {
    static let minilm = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../Sources/zoo/Resources/minilm-layer.safetensors").standardizedFileURL.path

    @Test func defaultHoldsWhatThePlanAsks() throws {
        let cases = try BenchPreset.default.cases(minilmPath: Self.minilm)
        #expect(Set(cases.map(\.name)).count == cases.count)
        for mask in [AttentionMask.full, .causal] {
            for headDim in [64, 128] {
                let lengths = cases.map(\.problem)
                    .filter { $0.options.mask == mask && $0.headDim == headDim && $0.heads == 8 }.map(\.queryLength)
                #expect(lengths == [512, 1024, 2048, 4096])
            }
        }
        #expect(cases.contains { $0.problem.heads == 32 && $0.problem.kvHeads == 8 && $0.problem.queryLength == 2048 })
        #expect(cases.contains { $0.problem.queryLength == 1 && $0.problem.keyLength == 16384 && $0.isBandwidthBound })
        #expect(cases.contains { $0.problem.heads == 12 && $0.problem.headDim == 32 && $0.preset == "minilm" })
        #expect(cases.contains { $0.problem.options.mask == .window(left: 255, right: 0) })
    }

    @Test func linearAndGridOperatorsHavePresets() throws {
        let long = try BenchPreset.long.cases(minilmPath: Self.minilm)
        #expect(long.map(\.problem.queryLength) == [4096, 8192, 16384])
        let grid = try BenchPreset.grid.cases(minilmPath: Self.minilm)
        for benchCase in grid {
            let side = Int(Double(benchCase.problem.queryLength).squareRoot())
            #expect(side * side == benchCase.problem.queryLength && benchCase.problem.options.mask == .full)
        }
    }

    @Test func overridesReplaceThePreset() throws {
        var overrides = BenchPreset.Overrides()
        overrides.lengths = [10, 20]
        overrides.headDims = [8]
        overrides.heads = 6
        overrides.window = [4, -1]
        overrides.dtype = .bfloat16
        let cases = try BenchPreset.causal.cases(minilmPath: Self.minilm, overrides: overrides)
        #expect(cases.map(\.name) == ["causal window 4,- L10 D8 H6 BF16", "causal window 4,- L20 D8 H6 BF16"])
        #expect(cases[0].problem.kvHeads == 6)
        #expect(try cases[0].inputs().query.dtype == .bfloat16)
        let windows = try BenchPreset.window.cases(minilmPath: Self.minilm, overrides: overrides)
        #expect(windows.first?.problem.options.mask == .window(left: 4, right: nil))
    }

    @Test func unknownPresetSuggests() {
        #expect(
            throws: BenchError.unknownPreset(
                name: "quikc", suggestions: ["quick"], known: BenchPreset.all.map(\.name))
        ) { try BenchPreset.named("quikc") }
    }
}
