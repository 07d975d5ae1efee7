extension QuantizationConfiguration {
    init(compressed fields: ConfigurationFields) throws(CheckpointFormatError) {
        let format = try fields.string("format") ?? "nothing"
        let readable = ["pack-quantized", "int-quantized", "mixed-precision"]
        guard readable.contains(format) else {
            throw fields.failure("format", "pack-quantized or int-quantized, the layouts that are read", format)
        }
        try fields.refuse("kv_cache_scheme", because: "a quantised cache is not read from a checkpoint")
        try fields.refuse("transform_config", because: "transformed weights are not read")
        if let (_, sparsity) = fields.value("sparsity_config") {
            let part = ConfigurationFields(
                object: sparsity, file: fields.file, prefix: "\(fields.prefix)sparsity_config.")
            if let layout = try part.string("format"), layout != "dense" {
                throw part.failure("format", "dense: sparse weights are not read", layout)
            }
        }
        guard let (_, value) = fields.value("config_groups"), case .object(let entries) = value else {
            throw fields.failure("config_groups", "an object", fields.value("config_groups")?.value.text ?? "nothing")
        }
        var groups: [TargetGroup] = []
        for (name, entry) in entries {
            let part = ConfigurationFields(
                object: entry, file: fields.file, prefix: "\(fields.prefix)config_groups.\(name).")
            groups.append(try Self.group(name, part, format: format))
        }
        guard let first = groups.first?.quantization else {
            throw fields.failure("config_groups", "a group at least", "none")
        }
        self.init(
            method: .compressedTensors, bits: first.bits, groupSize: first.groupSize, isSymmetric: first.isSymmetric,
            isActOrdered: first.isActOrdered, hasQuantizedHead: true,
            unconvertedModules: try fields.strings("ignore") ?? [])
        targetGroups = groups
        file = fields.file
    }

    private static func group(
        _ name: String, _ fields: ConfigurationFields, format: String
    ) throws(CheckpointFormatError) -> TargetGroup {
        guard case .object = fields.object else {
            throw fields.failure("weights", "an object: schemes by name alone are not read", fields.object.text)
        }
        let reason = "quantised activations are not computed with, only quantised weights"
        try fields.refuse("input_activations", "output_activations", because: reason)
        let layout = try fields.string("format") ?? format
        guard layout == "pack-quantized" || layout == "int-quantized" else {
            throw fields.failure("format", "pack-quantized or int-quantized, the layouts that are read", layout)
        }
        guard let (_, weights) = fields.value("weights"), case .object = weights else {
            throw fields.failure("weights", "an object", fields.value("weights")?.value.text ?? "nothing")
        }
        guard let targets = try fields.strings("targets") else {
            throw fields.failure("targets", "an array of strings", "nothing")
        }
        for target in targets {
            // Found wrong now rather than at the first module.
            _ = try NamePattern.names(target, "", field: fields.prefix + "targets", file: fields.file)
        }
        let part = ConfigurationFields(object: weights, file: fields.file, prefix: fields.prefix + "weights.")
        var quantization = try weight(part)
        quantization.isPacked = layout == "pack-quantized"
        return TargetGroup(name: name, targets: targets, quantization: quantization)
    }

    private static func weight(_ fields: ConfigurationFields) throws(CheckpointFormatError) -> ModuleQuantization {
        if let type = try fields.string("type"), type.lowercased() != "int" {
            throw fields.failure("type", "int: other numbers are not read", type)
        }
        try fields.refuse("dynamic", because: "the scales of weights are stored")
        try fields.refuse("block_structure", because: "blocks of outputs are not read")
        let bits = try fields.integer("num_bits") ?? 8
        guard [2, 3, 4, 8].contains(bits) else { throw fields.failure("num_bits", "2, 3, 4 or 8", "\(bits)") }
        let size = try fields.groupSize("group_size")
        let given: String? = size.map { $0 == nil ? "channel" : "group" }
        let strategy = try fields.string("strategy")?.lowercased() ?? given ?? "tensor"
        guard ["group", "channel", "tensor"].contains(strategy) else {
            throw fields.failure("strategy", "group, channel or tensor", strategy)
        }
        var result = ModuleQuantization(
            bits: bits, groupSize: nil, isSymmetric: try fields.bool("symmetric") ?? true,
            hasOneScale: strategy == "tensor")
        if strategy == "group" {
            guard case .some(.some(let size)) = size else {
                throw fields.failure("group_size", "a number from 1 for the strategy group", "nothing")
            }
            result.groupSize = size
        }
        if let (name, order) = fields.value("actorder") {
            switch order {
            case .bool(let isOrdered): result.isActOrdered = isOrdered
            case .string("group"), .string("dynamic"): result.isActOrdered = true
            case .string("weight"), .string("static"): result.isActOrdered = false
            default: throw fields.failure(name, "group, weight, dynamic or static", order.text)
            }
        }
        return result
    }
}
