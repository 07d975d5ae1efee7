import Kernels
import Quantization
import TensorCore
import Testing

/// Every part of a module's tensors that can be wrong, made wrong.
@Suite struct CheckpointFormatErrorTests {
    struct Damage: Sendable, CustomTestStringConvertible {
        let fixture: String
        let tensor: String
        let field: String
        let actual: String
        let change: @Sendable (Tensor) throws -> Tensor?

        init(
            _ fixture: String, _ tensor: String, _ field: String, _ actual: String,
            _ change: @escaping @Sendable (Tensor) throws -> Tensor?
        ) {
            (self.fixture, self.tensor, self.field, self.actual, self.change) = (fixture, tensor, field, actual, change)
        }

        var testDescription: String { "\(fixture): \(tensor), \(field), \(actual)" }
    }

    private static func missing(_ tensor: Tensor) -> Tensor? { nil }
    private static func doubles(_ tensor: Tensor) -> Tensor? { tensor.converted(to: .float64) }
    private static func flat(_ tensor: Tensor) throws -> Tensor? { try tensor.reshaped([tensor.count]) }
    private static func short(_ tensor: Tensor) throws -> Tensor? { try tensor.sliced(0, 1..<tensor.shape[0]).copied() }
    private static func setting<Element: TensorElement>(
        _ index: Int, _ value: Element
    ) -> @Sendable (Tensor) throws -> Tensor? {
        { tensor in
            var changed = tensor.copied()
            try changed.withUnsafeMutableElements(Element.self) { $0[index] = value }
            return changed
        }
    }

    static let damages: [Damage] = [
        // GPTQ: 32 outputs, 96 inputs in 3 groups, 4 bits.
        Damage("gptq-v1-4-ordered", "qweight", "tensor", "none", missing),
        Damage("gptq-v1-4-ordered", "qweight", "dtype", "F64", doubles),
        Damage("gptq-v1-4-ordered", "qweight", "shape", "[384]", flat),
        Damage("gptq-v1-4-ordered", "qweight", "shape", "[11, 32]", short),
        Damage("gptq-v1-4-ordered", "qzeros", "tensor", "none", missing),
        Damage("gptq-v1-4-ordered", "qzeros", "shape", "[2, 4]", short),
        Damage("gptq-v1-4-ordered", "qzeros", "dtype", "F64", doubles),
        Damage("gptq-v1-4-ordered", "scales", "tensor", "none", missing),
        Damage("gptq-v1-4-ordered", "scales", "shape", "[2, 32]", short),
        Damage("gptq-v1-4-ordered", "scales", "dtype", "F64", doubles),
        Damage("gptq-v1-4-ordered", "scales", "values", "inf at [1, 2]") { scales in
            try setting(34, Float.infinity)(scales.converted(to: .float32))
        },
        Damage("gptq-v1-4-ordered", "g_idx", "tensor", "none", missing),
        Damage("gptq-v1-4-ordered", "g_idx", "dtype", "F64", doubles),
        Damage("gptq-v1-4-ordered", "g_idx", "values", "3 for input 7", setting(7, Int32(3))),
        Damage("gptq-v1-4-ordered", "g_idx", "values", "-1 for input 95", setting(95, Int32(-1))),
        Damage(
            "gptq-v2-4-row", "qzeros", "values", "7 for output 8, group 0", setting(1, Int32(bitPattern: 0x8888_8887))),
        // AWQ.
        Damage("awq-gemm-32", "qweight", "tensor", "none", missing),
        Damage("awq-gemm-32", "qweight", "dtype", "F64", doubles),
        Damage("awq-gemm-32", "qweight", "shape", "[768]", flat),
        Damage("awq-gemm-32", "qzeros", "shape", "[2, 8]", short),
        Damage("awq-gemm-32", "qzeros", "tensor", "none", missing),
        Damage("awq-gemm-32", "scales", "shape", "[2, 64]", short),
        Damage("awq-gemv-32", "qweight", "shape", "[192]", flat),
        Damage("awq-gemv-32", "qzeros", "shape", "[15, 4]", short),
        Damage("awq-gemv-32", "scales", "shape", "[15, 32]", short),
        Damage("awq-gemv-32", "scales", "tensor", "none", missing),
        // compressed-tensors.
        Damage("ct-pack-4-group-zeros", "weight_packed", "tensor", "none", missing),
        Damage("ct-pack-4-group-zeros", "weight_packed", "shape", "[19, 12]", short),
        Damage("ct-pack-4-group-zeros", "weight_packed", "dtype", "F64", doubles),
        Damage("ct-pack-4-group-zeros", "weight_shape", "tensor", "none", missing),
        Damage("ct-pack-4-group-zeros", "weight_shape", "values", "[96]", short),
        Damage("ct-pack-4-group-zeros", "weight_shape", "values", "[20, 9223372036854775807]", setting(1, Int64.max)),
        Damage("ct-pack-4-group-zeros", "weight_shape", "values", "[20, 0]", setting(1, Int64(0))),
        Damage("ct-pack-4-group-zeros", "weight_scale", "tensor", "none", missing),
        Damage("ct-pack-4-group-zeros", "weight_scale", "shape", "[19, 3]", short),
        Damage("ct-pack-4-group-zeros", "weight_zero_point", "tensor", "none", missing),
        Damage("ct-pack-4-group-zeros", "weight_zero_point", "shape", "[2, 3]", short),
        Damage("ct-pack-4-tensor-zeros", "weight_zero_point", "values", "8", setting(0, Int8(8))),
        Damage("ct-pack-8-tensor", "weight_scale", "shape", "[2]") { try $0.broadcast(to: [2]).copied() },
        Damage("ct-pack-4-ordered", "weight_g_idx", "tensor", "none", missing),
        Damage("ct-pack-4-ordered", "weight_g_idx", "values", "-1 everywhere") {
            try Tensor([Int32](repeating: -1, count: $0.count), shape: $0.shape)
        },
        Damage("ct-pack-4-ordered", "weight_g_idx", "values", "96 in group 0") {
            Tensor(zeros: $0.shape, dtype: .int32)
        },
        Damage("ct-int-4-channel-zeros", "weight", "values", "-9", setting(3, Int8(-9))),
    ]

    @Test(arguments: damages) func damageIsNamed(_ damage: Damage) throws {
        let fixture = try PackedFixture.named(damage.fixture)
        let name = "\(fixture.module).\(damage.tensor)"
        var tensors = fixture.tensors
        tensors[name] = try damage.change(try #require(tensors[name]))
        let error = #expect(throws: CheckpointFormatError.self) { try fixture.read(tensors) }
        #expect(error?.place == name)
        #expect(error?.field == damage.field)
        #expect(error?.actual == damage.actual)
    }

    @Test(arguments: ["gptq-v1-4-ordered", "awq-gemm-32", "awq-gemv-32", "ct-pack-4-group-zeros", "ct-int-8-channel"])
    func extentsOfTheModelCount(_ name: String) throws {
        let fixture = try PackedFixture.named(name)
        for (outputs, inputs) in [(fixture.outputs + 32, fixture.inputs), (fixture.outputs, fixture.inputs + 32)] {
            let error = #expect(throws: CheckpointFormatError.self) {
                try fixture.read(outputs: outputs, inputs: inputs)
            }
            #expect(error?.field == "shape")
            #expect(error?.place.hasPrefix(fixture.module + ".") == true)
        }
    }

    @Test(arguments: ["gptq-v1-4-asymmetric", "awq-gemm-32", "awq-gemv-32", "ct-pack-4-group"])
    func groupSizesDivideTheInputs(_ name: String) throws {
        let fixture = try PackedFixture.named(name)
        var configuration = try fixture.configuration
        configuration.groupSize = 40
        if !configuration.targetGroups.isEmpty { configuration.targetGroups[0].quantization.groupSize = 40 }
        let error = #expect(throws: CheckpointFormatError.self) { try fixture.read(configuration: configuration) }
        #expect(error?.field == "group_size")
        #expect(error?.expected == "a divisor of \(fixture.inputs) inputs")
        #expect(error?.actual == "40")
    }

    @Test func modulesThatAreLeftOut() throws {
        let fixture = try PackedFixture.named("awq-gemm-32")
        var configuration = try fixture.configuration
        let tensors = fixture.tensors
        // A plain weight, and nothing at all.
        let plain = ["m.weight": Tensor(zeros: [2, 2])]
        #expect(try CheckpointFormat.read(module: "m", configuration: configuration) { plain[$0] } == nil)
        #expect(try CheckpointFormat.read(module: "n", configuration: configuration) { plain[$0] } == nil)
        // Codes where there should be none.
        configuration.unconvertedModules = ["up_proj"]
        let error = #expect(throws: CheckpointFormatError.self) {
            try CheckpointFormat.read(module: fixture.module, configuration: configuration) { tensors[$0] }
        }
        #expect(error?.place == "\(fixture.module).qweight")
        #expect(error?.field == "tensor")
        let weight = try fixture.read()
        #expect(throws: CheckpointFormatError.self) {
            try CheckpointFormat.write(weight, module: fixture.module, configuration: configuration)
        }
    }

    @Test func whatALayoutCannotHoldIsRefused() throws {
        func weight(
            _ outputs: Int, _ inputs: Int, bits: Int = 4, zero: Int16 = 3, order: [Int32]? = nil
        ) throws -> QuantizedWeight {
            try QuantizedWeight(
                outputs: outputs, inputs: inputs, bits: bits, groupSize: 8,
                codes: [UInt8](repeating: 1, count: outputs * inputs),
                scales: [Float](repeating: 1, count: outputs * ((inputs + 7) / 8)), scaleType: .float16,
                zeros: [Int16](repeating: zero, count: outputs * ((inputs + 7) / 8)), groupIndex: order)
        }
        func refused(
            _ weight: QuantizedWeight, _ method: QuantizationConfiguration.Method, bits: Int = 4, groupSize: Int = 8,
            isSymmetric: Bool = false, isActOrdered: Bool = false, _ field: String, _ actual: String
        ) {
            let configuration = QuantizationConfiguration(
                method: method, bits: bits, groupSize: groupSize, isSymmetric: isSymmetric, isActOrdered: isActOrdered)
            let error = #expect(throws: CheckpointFormatError.self) {
                try CheckpointFormat.write(weight, module: "m", configuration: configuration)
            }
            #expect(error?.place == "m")
            #expect(error?.field == field)
            #expect(error?.actual == actual)
        }
        let order = [Int32](repeating: 0, count: 32)
        let v1 = QuantizationConfiguration.Method.gptq(isVersion2: false)
        let v2 = QuantizationConfiguration.Method.gptq(isVersion2: true)
        refused(try weight(32, 32, zero: 0), v1, "zeros", "0")
        refused(try weight(32, 32, zero: 16), v2, "zeros", "16")
        refused(try weight(32, 32, zero: -1), .awqGEMM, "zeros", "-1")
        refused(try weight(32, 32, zero: 16), .compressedTensors, "zeros", "16")
        refused(try weight(32, 40), v2, "inputs", "40")
        refused(try weight(40, 32), v2, "outputs", "40")
        refused(try weight(12, 32), .awqGEMM, "outputs", "12")
        refused(try weight(32, 32), v2, bits: 8, "bits", "4")
        refused(try weight(32, 32, bits: 3), .awqGEMM, bits: 3, "bits", "3")
        refused(try weight(32, 32), v2, groupSize: 16, "group_size", "8")
        refused(try weight(32, 36), v2, "group_size", "8")
        refused(try weight(32, 32), v2, isSymmetric: true, "zeros", "3")
        refused(try weight(32, 32, order: order), v2, "groupIndex", "another order")
        refused(try weight(32, 32, order: order), .awqGEMM, isActOrdered: true, "groupIndex", "another order")
        refused(try weight(32, 32, order: order), .compressedTensors, isActOrdered: true, "groupIndex", "another order")
        refused(try weight(32, 32), .awqGEMV, "version", "gemv")
    }

    @Test func errorsSayWhere() {
        let error = CheckpointFormatError(place: "m.qzeros", field: "shape", expected: "[2]", actual: "[3]")
        #expect("\(error)" == "m.qzeros, shape: expected [2], got [3]")
    }
}
