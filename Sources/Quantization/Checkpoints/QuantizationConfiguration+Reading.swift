extension QuantizationConfiguration {
    /// Reads the configuration from a whole `config.json`, from its `quantization_config`, or from
    /// `quantize_config.json` or `quant_config.json`, as UTF-8; `nil` when the text says nothing of quantising.
    ///
    /// Whether a module is quantised in fact is seen from its tensors; `quantization_status`, `meta`, and fields that
    /// only tell how codes were found are not read.
    /// - Throws: ``CheckpointFormatError`` that names the file and the field: for JSON that is none, and for every
    ///   method, layout or option that cannot be read, by its name.
    public init?(json: some Sequence<UInt8>, file: String = "config.json") throws(CheckpointFormatError) {
        let root = try OrderedJSON.parse(Array(json), file: file)
        guard case .object = root else {
            throw CheckpointFormatError(place: file, field: "JSON", expected: "an object", actual: root.text)
        }
        let whole = ConfigurationFields(object: root, file: file)
        var fields = whole
        if let (name, part) = whole.value("quantization_config", "compression_config") {
            guard case .object = part else { throw whole.failure(name, "an object", part.text) }
            fields = ConfigurationFields(object: part, file: file, prefix: name + ".")
        } else if whole.value("quant_method", "bits", "w_bit", "config_groups") == nil {
            return nil
        }
        let known = "gptq, awq or compressed-tensors"
        switch try fields.string("quant_method")?.lowercased() {
        case "gptq": try self.init(gptq: fields)
        case "awq": try self.init(awq: fields)
        case "compressed-tensors", "compressed_tensors", "sparseml": try self.init(compressed: fields)
        case .some(let other): throw fields.failure("quant_method", known, other)
        case nil:
            // The files beside config.json did not always say.
            if fields.value("w_bit", "zero_point", "q_group_size") != nil {
                try self.init(awq: fields)
            } else if fields.value("config_groups") != nil {
                try self.init(compressed: fields)
            } else if fields.value("bits") != nil {
                try self.init(gptq: fields)
            } else {
                throw fields.failure("quant_method", known, "nothing")
            }
        }
    }

    private init(gptq fields: ConfigurationFields) throws(CheckpointFormatError) {
        let isVersion2 = try Self.gptqVersion(fields)
        try fields.refuse(
            "is_marlin_format", because: "the Marlin layout of GPTQ is not read, only gptq and gptq_v2")
        try fields.refuse("rotation", because: "rotated weights are not read")
        try fields.refuse("adapter", because: "adapters are not read")
        if let packing = try fields.string("pack_dtype"), packing != "int32" {
            throw fields.failure("pack_dtype", "int32", packing)
        }
        guard let groupSize = try fields.groupSize("group_size") else {
            throw fields.failure("group_size", "a number from 1, or -1", "nothing")
        }
        self.init(
            method: .gptq(isVersion2: isVersion2), bits: try Self.bits(fields), groupSize: groupSize,
            isSymmetric: try fields.bool("sym") ?? false, isActOrdered: try fields.bool("desc_act") ?? false,
            hasStaticGroups: try fields.bool("static_groups") ?? false,
            isTrueSequential: try fields.bool("true_sequential") ?? true,
            dampPercent: try fields.number("damp_percent"), hasQuantizedHead: try fields.bool("lm_head") ?? false,
            unconvertedModules: [], rules: try Self.rules(fields))
        file = fields.file
    }

    private static func gptqVersion(_ fields: ConfigurationFields) throws(CheckpointFormatError) -> Bool {
        let name = try fields.string("checkpoint_format") == nil ? "format" : "checkpoint_format"
        switch try fields.string(name)?.lowercased() {
        case nil, "gptq": return false
        case "gptq_v2": return true
        case .some(let other): throw fields.failure(name, "gptq or gptq_v2, the layouts of GPTQ that are read", other)
        }
    }

    private static func bits(_ fields: ConfigurationFields) throws(CheckpointFormatError) -> Int {
        guard let bits = try fields.integer("bits") else {
            throw fields.failure("bits", "2, 3, 4 or 8", "nothing")
        }
        guard [2, 3, 4, 8].contains(bits) else { throw fields.failure("bits", "2, 3, 4 or 8", "\(bits)") }
        return bits
    }

    /// Fields of a rule that change how codes are found, and nothing in the file.
    private static let findingFields: Set<String> = [
        "act_group_aware", "damp_auto_increment", "damp_percent", "fallback", "gptaq", "foem", "hessian", "mse",
        "static_groups", "true_sequential",
    ]

    private static func rules(_ fields: ConfigurationFields) throws(CheckpointFormatError) -> [ModuleRule] {
        guard let (_, value) = fields.value("dynamic") else { return [] }
        guard case .object(let entries) = value else { throw fields.failure("dynamic", "an object", value.text) }
        var result: [ModuleRule] = []
        for (key, overrides) in entries {
            let name = "dynamic[\"\(key)\"]"
            guard case .object(let changes) = overrides else { throw fields.failure(name, "an object", overrides.text) }
            let isSigned = key.hasPrefix("-:") || key.hasPrefix("+:")
            var rule = ModuleRule(pattern: isSigned ? String(key.dropFirst(2)) : key, leavesOut: key.hasPrefix("-:"))
            // Found wrong now rather than at the first module.
            _ = try NamePattern.end(of: rule.pattern, in: "", field: name, file: fields.file)
            let part = ConfigurationFields(object: overrides, file: fields.file, prefix: "\(fields.prefix)\(name).")
            for (field, change) in changes where !rule.leavesOut {
                switch field {
                case "bits": rule.bits = try bits(part)
                case "group_size": rule.fileGroupSize = try part.groupSize(field).map { $0 ?? -1 }
                case "sym": rule.isSymmetric = try part.bool(field)
                case "desc_act": rule.isActOrdered = try part.bool(field)
                case _ where findingFields.contains(field): continue
                default:
                    throw part.failure(field, "bits, group_size, sym, desc_act or how codes are found", change.text)
                }
            }
            result.append(rule)
        }
        return result
    }

    private init(awq fields: ConfigurationFields) throws(CheckpointFormatError) {
        let name = try fields.string("version") == nil ? "format" : "version"
        let method: Method
        switch try fields.string(name)?.lowercased() {
        case nil, "gemm": method = .awqGEMM
        case "gemv": method = .awqGEMV
        case .some(let other): throw fields.failure(name, "gemm or gemv, the layouts of AWQ that are read", other)
        }
        if let backend = try fields.string("backend"), backend == "llm-awq" {
            throw fields.failure("backend", "another than llm-awq, whose layout is not read", backend)
        }
        guard let bits = try fields.integer("bits", "w_bit") else {
            throw fields.failure("bits", "4", "nothing")
        }
        guard bits == 4 else { throw fields.failure("bits", "4, the only width that AWQ's layouts have", "\(bits)") }
        guard let groupSize = try fields.groupSize("group_size", "q_group_size") else {
            throw fields.failure("group_size", "a number from 1, or -1", "nothing")
        }
        self.init(
            method: method, bits: bits, groupSize: groupSize,
            isSymmetric: try fields.bool("zero_point").map { !$0 } ?? false,
            hasQuantizedHead: true, unconvertedModules: try fields.strings("modules_to_not_convert") ?? [])
        file = fields.file
        // Found wrong now rather than at the first module.
        for key in unconvertedModules { _ = try NamePattern.leavesOut(key, "", file: file) }
    }
}
