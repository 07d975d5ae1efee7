import Kernels
import Quantization
import TensorCore
import Testing

@Suite struct QuantizationConfigurationTests {
    private func configuration(_ json: String) throws -> QuantizationConfiguration? {
        try QuantizationConfiguration(json: json.utf8, file: "config.json")
    }

    @Test func spellingsOfTheTools() throws {
        let autoGPTQ = try #require(
            try configuration(
                """
                {"bits": 3, "group_size": -1, "damp_percent": 0.1, "desc_act": true, "static_groups": true, "sym": true,
                 "true_sequential": false, "model_name_or_path": null, "model_file_base_name": "m\\u0041"}
                """))
        #expect(autoGPTQ.method == .gptq(isVersion2: false))
        #expect(autoGPTQ.bits == 3)
        #expect(autoGPTQ.groupSize == nil)
        #expect(autoGPTQ.isActOrdered && autoGPTQ.isSymmetric && autoGPTQ.hasStaticGroups)
        #expect(!autoGPTQ.isTrueSequential && !autoGPTQ.hasQuantizedHead)
        #expect(autoGPTQ.dampPercent == 0.1)

        let whole = try #require(
            try configuration(
                """
                {"model_type": "llama", "quantization_config": {"quant_method": "gptq", "bits": 8, "group_size": 128,
                 "checkpoint_format": "gptq_v2", "format": "gptq", "lm_head": true, "pack_dtype": "int32",
                 "meta": {"quantizer": ["gptqmodel:7.7.0"]}}}
                """))
        #expect(whole.method == .gptq(isVersion2: true))
        #expect(!whole.isSymmetric, "nothing is said of zeros")
        #expect(try whole.quantization(of: "lm_head")?.bits == 8)
        #expect(
            try configuration("{\"quant_method\": \"gptq\", \"format\": \"gptq_v2\", \"bits\": 2, \"group_size\": 64}")?
                .method == .gptq(isVersion2: true))

        let autoAWQ = try #require(
            try configuration(
                "{\"zero_point\": true, \"q_group_size\": 64, \"w_bit\": 4, \"version\": \"GEMV\"}"))
        #expect(autoAWQ.method == .awqGEMV)
        #expect(autoAWQ.groupSize == 64)
        #expect(!autoAWQ.isSymmetric)

        #expect(try configuration("{\"model_type\": \"llama\"}") == nil)
        #expect(try configuration("{\"model_type\": \"llama\", \"quantization_config\": null}") == nil)
    }

    @Test func rulesApplyInTheirOrder() throws {
        let configuration = try #require(
            try configuration(
                """
                {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": false, "dynamic": {
                 "-:.*\\\\.layers\\\\.1\\\\.": {}, "+:.*\\\\.down_proj": {"bits": 8, "group_size": -1, "mse": 2.4},
                 ".*_proj": {"sym": true, "desc_act": true}}}
                """))
        #expect(try configuration.quantization(of: "model.layers.1.down_proj") == nil)
        #expect(
            try configuration.quantization(of: "model.layers.11.down_proj")
                == ModuleQuantization(bits: 8, groupSize: nil, isSymmetric: false))
        #expect(
            try configuration.quantization(of: "model.layers.0.up_proj")
                == ModuleQuantization(bits: 4, groupSize: 128, isSymmetric: true, isActOrdered: true))
        #expect(
            try configuration.quantization(of: "model.other")
                == ModuleQuantization(bits: 4, groupSize: 128, isSymmetric: false))
        #expect(try configuration.quantization(of: "lm_head") == nil)
        // Written, and read again.
        let again = try #require(try self.configuration(configuration.json()))
        #expect(again.rules == configuration.rules)
    }

    @Test func namesThatAreLeftOut() throws {
        var awq = QuantizationConfiguration(
            method: .awqGEMM, bits: 4, groupSize: 128, isSymmetric: false,
            unconvertedModules: ["model.layers.1", "gate", "vision.*"])
        for name in ["model.layers.1", "model.layers.1.up", "model.layers.0.gate", "vision_tower.up"] {
            #expect(try awq.quantization(of: name) == nil, "\(name)")
        }
        for name in ["model.layers.11.up", "model.layers.0.gate_proj", "lm_head"] {
            #expect(try awq.quantization(of: name) != nil, "\(name)")
        }
        awq.unconvertedModules = ["("]
        #expect(throws: CheckpointFormatError.self) { try awq.quantization(of: "x") }

        let compressed = try #require(
            try configuration(
                """
                {"quant_method": "compressed-tensors", "format": "mixed-precision", "ignore": ["lm_head", "re:.*gate$"],
                 "config_groups": {
                  "group_0": {"targets": ["Linear"], "format": "pack-quantized", "weights": {"num_bits": 4,
                    "group_size": 32, "symmetric": false}},
                  "group_1": {"targets": ["re:.*down"], "format": "int-quantized", "weights": {"num_bits": 8,
                    "strategy": "channel", "actorder": "weight"}},
                  "group_2": {"targets": ["a.b"], "format": "pack-quantized", "weights": {"num_bits": 8}}}}
                """))
        #expect(try compressed.quantization(of: "lm_head") == nil)
        #expect(try compressed.quantization(of: "a.gate") == nil)
        #expect(
            try compressed.quantization(of: "a.gate_up")
                == ModuleQuantization(bits: 4, groupSize: 32, isSymmetric: false))
        #expect(
            try compressed.quantization(of: "a.down")
                == ModuleQuantization(bits: 8, groupSize: nil, isSymmetric: true, isPacked: false))
        #expect(
            try compressed.quantization(of: "a.b")
                == ModuleQuantization(bits: 8, groupSize: nil, isSymmetric: true, hasOneScale: true))
        var ambiguous = compressed
        ambiguous.targetGroups[2].targets = ["a.down"]
        #expect(
            throws: CheckpointFormatError(
                place: "config.json", field: "config_groups", expected: "one group for a.down",
                actual: "group_1 and group_2, which differ")
        ) { try ambiguous.quantization(of: "a.down") }
    }

    static let refusals: [(json: String, field: String, actual: String)] = [
        ("[]", "JSON", "[]"),
        ("{\"bits\": 4,}", "JSON", "byte }"),
        ("{\"bits\": 4, \"bits\": 8}", "JSON", "byte :"),
        ("{\"quant_method\": \"bitsandbytes\"}", "quant_method", "bitsandbytes"),
        ("{\"quantization_config\": {\"quant_method\": \"fp8\"}}", "quantization_config.quant_method", "fp8"),
        ("{\"quantization_config\": {}}", "quantization_config.quant_method", "nothing"),
        ("{\"quantization_config\": 4}", "quantization_config", "4"),
        ("{\"quant_method\": \"gptq\", \"group_size\": 128}", "bits", "nothing"),
        ("{\"bits\": 5, \"group_size\": 128}", "bits", "5"),
        ("{\"bits\": \"4\", \"group_size\": 128}", "bits", "\"4\""),
        ("{\"bits\": 4}", "group_size", "nothing"),
        ("{\"bits\": 4, \"group_size\": 0}", "group_size", "0"),
        ("{\"bits\": 4, \"group_size\": 32.5}", "group_size", "32.5"),
        ("{\"bits\": 4, \"group_size\": 32, \"desc_act\": 1}", "desc_act", "1"),
        ("{\"bits\": 4, \"group_size\": 32, \"checkpoint_format\": \"marlin\"}", "checkpoint_format", "marlin"),
        ("{\"bits\": 4, \"group_size\": 32, \"format\": \"bitblas\"}", "format", "bitblas"),
        ("{\"bits\": 4, \"group_size\": 32, \"is_marlin_format\": true}", "is_marlin_format", "true"),
        ("{\"bits\": 4, \"group_size\": 32, \"pack_dtype\": \"int16\"}", "pack_dtype", "int16"),
        ("{\"bits\": 4, \"group_size\": 32, \"rotation\": \"hadamard\"}", "rotation", "\"hadamard\""),
        ("{\"bits\": 4, \"group_size\": 32, \"adapter\": {\"rank\": 8}}", "adapter", "{\"rank\": 8}"),
        ("{\"bits\": 4, \"group_size\": 32, \"dynamic\": {\"(\": {}}}", "dynamic[\"(\"]", "\"(\""),
        (
            "{\"bits\": 4, \"group_size\": 32, \"dynamic\": {\"a\": {\"bits\": 6}}}", "dynamic[\"a\"].bits", "6"
        ),
        (
            "{\"bits\": 4, \"group_size\": 32, \"dynamic\": {\"a\": {\"format\": \"gemm\"}}}", "dynamic[\"a\"].format",
            "\"gemm\""
        ),
        ("{\"quant_method\": \"awq\", \"bits\": 3, \"group_size\": 128}", "bits", "3"),
        ("{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 8, \"version\": \"marlin\"}", "version", "marlin"),
        (
            "{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 8, \"version\": \"gemv_fast\"}", "version",
            "gemv_fast"
        ),
        (
            "{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 8, \"backend\": \"llm-awq\"}", "backend",
            "llm-awq"
        ),
        (
            "{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 8, \"modules_to_not_convert\": [\"(\"]}",
            "modules_to_not_convert", "\"(?:()(?=\\.|$)\""
        ),
        ("{\"quant_method\": \"compressed-tensors\", \"format\": \"dense\"}", "format", "dense"),
        (compressed("\"kv_cache_scheme\": {\"num_bits\": 8},"), "kv_cache_scheme", "{\"num_bits\": 8}"),
        (
            compressed("\"sparsity_config\": {\"format\": \"sparse-bitmask\"},"), "sparsity_config.format",
            "sparse-bitmask"
        ),
        (compressed("\"transform_config\": {\"a\": 1},"), "transform_config", "{\"a\": 1}"),
        (
            compressed(group: "\"input_activations\": {\"num_bits\": 8},"), "config_groups.g.input_activations",
            "{\"num_bits\": 8}"
        ),
        (compressed(group: "\"format\": \"nvfp4-pack-quantized\","), "config_groups.g.format", "nvfp4-pack-quantized"),
        (compressed(weights: "\"num_bits\": 6"), "config_groups.g.weights.num_bits", "6"),
        (compressed(weights: "\"type\": \"float\""), "config_groups.g.weights.type", "float"),
        (compressed(weights: "\"strategy\": \"block\""), "config_groups.g.weights.strategy", "block"),
        (compressed(weights: "\"strategy\": \"group\""), "config_groups.g.weights.group_size", "nothing"),
        (compressed(weights: "\"dynamic\": true"), "config_groups.g.weights.dynamic", "true"),
        (compressed(weights: "\"actorder\": \"up\""), "config_groups.g.weights.actorder", "\"up\""),
    ]

    private static func compressed(_ top: String = "", group: String = "", weights: String = "") -> String {
        """
        {"quant_method": "compressed-tensors", \(top) "format": "pack-quantized", "config_groups": {"g": {\(group)
         "targets": ["Linear"], "weights": {\(weights)}}}}
        """
    }

    @Test(arguments: refusals) func whatCannotBeReadIsNamed(_ json: String, _ field: String, _ actual: String) throws {
        let error = #expect(throws: CheckpointFormatError.self) { try configuration(json) }
        #expect(error?.place == "config.json")
        #expect(error?.field == field)
        #expect(error?.actual == actual)
    }

    @Test func whatNoFileSaysIsRefused() throws {
        #expect(throws: CheckpointFormatError.self) {
            try QuantizationConfiguration(method: .awqGEMV, bits: 4, groupSize: 32, isSymmetric: false).json()
        }
        #expect(throws: CheckpointFormatError.self) {
            try QuantizationConfiguration(method: .awqGEMM, bits: 3, groupSize: 32, isSymmetric: false).json()
        }
        #expect(throws: CheckpointFormatError.self) {
            try QuantizationConfiguration(
                method: .awqGEMM, bits: 4, groupSize: 32, isSymmetric: false, rules: [ModuleRule(pattern: "a")]
            ).json()
        }
        let text = try QuantizationConfiguration(
            method: .awqGEMM, bits: 4, groupSize: 32, isSymmetric: true, unconvertedModules: []
        ).json()
        #expect(
            text
                == "{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 32, \"zero_point\": false, "
                + "\"version\": \"gemm\", \"modules_to_not_convert\": null}")
    }
}
