extension QuantizationConfiguration {
    /// `quantization_config` as JSON text on one line, for `config.json`; the tools' files beside it hold the same.
    ///
    /// - Throws: ``CheckpointFormatError`` for what no file says so: AWQ's `gemv`, widths that a layout has not, and
    ///   rules outside GPTQ.
    public func json() throws(CheckpointFormatError) -> String {
        switch method {
        case .gptq(let isVersion2): return try gptq(isVersion2).text
        case .awqGEMM: return try awq().text
        case .compressedTensors: return try compressed().text
        case .awqGEMV:
            throw CheckpointFormatError(place: file, field: "version", expected: "gemm to write", actual: "gemv")
        }
    }

    private func gptq(_ isVersion2: Bool) throws(CheckpointFormatError) -> OrderedJSON {
        try checkWidth([2, 3, 4, 8])
        var fields: [(key: String, value: OrderedJSON)] = [
            ("quant_method", .string("gptq")), ("bits", .integer(bits)), ("group_size", .integer(groupSize ?? -1)),
            ("desc_act", .bool(isActOrdered)), ("sym", .bool(isSymmetric)), ("static_groups", .bool(hasStaticGroups)),
            ("true_sequential", .bool(isTrueSequential)), ("lm_head", .bool(hasQuantizedHead)),
            ("checkpoint_format", .string(isVersion2 ? "gptq_v2" : "gptq")), ("pack_dtype", .string("int32")),
        ]
        if let dampPercent { fields.append(("damp_percent", .number(dampPercent))) }
        if !rules.isEmpty { fields.append(("dynamic", .object(rules.map(Self.entry)))) }
        return .object(fields)
    }

    private static func entry(_ rule: ModuleRule) -> (key: String, value: OrderedJSON) {
        var changes: [(key: String, value: OrderedJSON)] = []
        if let bits = rule.bits { changes.append(("bits", .integer(bits))) }
        if let size = rule.fileGroupSize { changes.append(("group_size", .integer(size))) }
        if let flag = rule.isSymmetric { changes.append(("sym", .bool(flag))) }
        if let flag = rule.isActOrdered { changes.append(("desc_act", .bool(flag))) }
        return ((rule.leavesOut ? "-:" : "+:") + rule.pattern, .object(rule.leavesOut ? [] : changes))
    }

    private func awq() throws(CheckpointFormatError) -> OrderedJSON {
        try checkWidth([4])
        try checkNoRules()
        let names = unconvertedModules.map { OrderedJSON.string($0) }
        return .object([
            ("quant_method", .string("awq")), ("bits", .integer(bits)), ("group_size", .integer(groupSize ?? -1)),
            ("zero_point", .bool(!isSymmetric)), ("version", .string("gemm")),
            ("modules_to_not_convert", names.isEmpty ? .null : .array(names)),
        ])
    }

    private func compressed() throws(CheckpointFormatError) -> OrderedJSON {
        try checkNoRules()
        var groups: [(key: String, value: OrderedJSON)] = []
        for group in targetGroups {
            let part = group.quantization
            guard part.isPacked, !part.hasOneScale else {
                throw CheckpointFormatError(
                    place: file, field: group.name, expected: "packed codes and a scale for each row to write",
                    actual: part.isPacked ? "one scale for the tensor" : "a byte for each code")
            }
            guard !part.isActOrdered else {
                throw CheckpointFormatError(
                    place: file, field: group.name, expected: "inputs in order, as the package has them now",
                    actual: "the order of activations")
            }
            let weights: [(key: String, value: OrderedJSON)] = [
                ("num_bits", .integer(part.bits)), ("type", .string("int")), ("symmetric", .bool(part.isSymmetric)),
                ("strategy", .string(part.groupSize == nil ? "channel" : "group")), ("dynamic", .bool(false)),
                ("group_size", part.groupSize.map { .integer($0) } ?? .null),
            ]
            groups.append(
                (
                    group.name,
                    .object([
                        ("targets", .array(group.targets.map { .string($0) })), ("weights", .object(weights)),
                        ("input_activations", .null), ("output_activations", .null),
                    ])
                ))
        }
        return .object([
            ("quant_method", .string("compressed-tensors")), ("format", .string("pack-quantized")),
            ("quantization_status", .string("compressed")), ("config_groups", .object(groups)),
            ("ignore", .array(unconvertedModules.map { .string($0) })), ("kv_cache_scheme", .null),
        ])
    }

    private func checkWidth(_ widths: [Int]) throws(CheckpointFormatError) {
        guard widths.contains(bits) else {
            let list = widths.map(String.init).joined(separator: ", ")
            throw CheckpointFormatError(
                place: file, field: "bits", expected: "\(list) for \(method.name)", actual: "\(bits)")
        }
    }

    private func checkNoRules() throws(CheckpointFormatError) {
        guard rules.isEmpty else {
            throw CheckpointFormatError(
                place: file, field: "dynamic", expected: "no rules but for gptq", actual: "\(rules.count) rules")
        }
    }
}
