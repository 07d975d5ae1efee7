import AttentionCore
import AttentionTesting
import Foundation
import TensorCore
import Testing

/// `zoo run` on the cases that PyTorch computed in float64: `Tests/Fixtures/sdpa`.
@Suite struct SDPARunTests {
    struct Case: Decodable, Sendable {
        let attention: AttentionCase
        let rows: [Int]
        let torchFloatError: Double

        private enum CodingKeys: String, CodingKey { case rows, torchFloatError }

        init(from decoder: any Decoder) throws {
            attention = try AttentionCase(from: decoder)
            let container = try decoder.container(keyedBy: CodingKeys.self)
            rows = try container.decode([Int].self, forKey: .rows)
            torchFloatError = try container.decode(Double.self, forKey: .torchFloatError)
        }
    }

    static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../Fixtures/sdpa").standardizedFileURL

    static func cases() throws -> [Case] {
        try JSONDecoder().decode(
            [Case].self, from: Data(contentsOf: fixtures.appendingPathComponent("cases.json")))
    }

    /// The operators take turns: the library's own tests run all of them on every case, here the command is at stake.
    @Test func commandAgreesWithPyTorch() throws {
        let cases = try Self.cases()
        #expect(cases.count >= 60)
        let expected = try SafetensorsFile(path: Self.fixtures.appendingPathComponent("expected.safetensors").path)
        let names = ["full", "flash", "memory-efficient", "grouped-query"]
        for (index, item) in cases.enumerated() {
            let isDouble = item.attention.dtype == .float64
            try check(item, by: isDouble ? "full" : names[index % names.count], expected)
        }
    }

    private func check(_ item: Case, by name: String, _ expected: SafetensorsFile) throws {
        let label = "\(name), \(item.attention.name)"
        let folder = try TemporaryFolder()
        try OperandFile.write(item.attention.inputs(), to: folder.path("in.safetensors"))
        let outcome = try ZooProcess.run([
            "run", name, "--input", folder.path("in.safetensors"), "--output", folder.path("out.safetensors"),
            "--config", ConfigurationValue.object(item.attention.config).jsonText,
        ])
        guard outcome.status == 0 else {
            Issue.record("\(label): status \(outcome.status): \(outcome.error)")
            return
        }
        let file = try SafetensorsFile(path: folder.path("out.safetensors"))
        let output = try file.tensor(named: "output")
        #expect(output.dtype == item.attention.dtype, "\(label)")
        let magnitude = Double(item.attention.amplitude)
        let storage =
            item.attention.dtype == .bfloat16 ? 0x1p-8 : item.attention.dtype == .float16 ? 0x1p-11 : 0
        let limit = max(2e-6 * magnitude, 2 * item.torchFloatError) + storage * magnitude
        let off = try rows(of: output, axis: 1, item.rows)
            .maxAbsoluteDifference(expected.tensor(named: "\(item.attention.name).output"))
        #expect(off <= limit, "\(label): output off by \(off), allowed \(limit)")
        let wanted = try expected.tensor(named: "\(item.attention.name).log_sum_exp")
        let largest = wanted.doubles().reduce(1) { $1.isFinite ? max($0, abs($1)) : $0 }
        let difference = try rows(of: file.tensor(named: "log_sum_exp"), axis: 2, item.rows).maxAbsoluteDifference(
            wanted)
        #expect(difference <= 1e-6 * largest, "\(label): log_sum_exp off by \(difference)")
    }

    /// The rows that the fixture holds.
    private func rows(of tensor: Tensor, axis: Int, _ rows: [Int]) throws -> Tensor {
        let shape = tensor.shape.dimensions
        let outer = shape[..<axis].reduce(1, *)
        let inner = shape[(axis + 1)...].reduce(1, *)
        let numbers = tensor.doubles()
        let picked = (0..<outer).flatMap { block in
            rows.flatMap { row -> ArraySlice<Double> in
                let start = (block * shape[axis] + row) * inner
                return numbers[start..<start + inner]
            }
        }
        return try Tensor(picked, shape: Shape(shape[..<axis] + [rows.count] + shape[(axis + 1)...]))
    }
}
