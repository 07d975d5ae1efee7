import AttentionCore
import CZooPlugin
import TensorCore

/// What a plugin's table says about one operator, checked, in the host's terms.
///
/// Unchecked: the table is the plugin's and constant for the life of the process.
struct PluginDescription: @unchecked Sendable {
    let file: String
    let entry: CatalogueEntry
    let capabilities: AttentionCapabilities
    let guide: OperatorGuide
    let options: [OptionDescription]
    let table: UnsafePointer<zoo_operator>

    /// The operator and its library, for errors.
    var name: String { entry.type }

    init(_ table: UnsafePointer<zoo_operator>, number: Int, file: String) throws(PluginError) {
        self.table = table
        self.file = file
        let source = table.pointee
        let expected = MemoryLayout<zoo_operator>.size
        guard source.struct_size >= expected else {
            throw PluginError(
                file: file,
                .wrongSize(
                    structure: "zoo_operator of operator \(number)", actual: Int(source.struct_size),
                    expected: expected))
        }
        let id = try PluginFields(file: file, owner: "operator \(number)").text(source.id, "id")
        let fields = PluginFields(file: file, owner: "operator '\(id)'")
        entry = try Self.entry(source, id: id, fields)
        capabilities = try Self.capabilities(source, fields)
        guide = OperatorGuide(
            maths: try fields.optional(source.maths, "maths"), choose: try fields.optional(source.choose, "choose"),
            limits: try fields.optional(source.limits, "limits"))
        options = try Self.options(source, fields)
        try Self.checkFunctions(source, fields)
    }

    private static func entry(
        _ source: zoo_operator, id: String, _ fields: PluginFields
    ) throws(PluginError) -> CatalogueEntry {
        var aliases: [String] = []
        var next = source.aliases
        while let pointer = next?.pointee {
            aliases.append(try fields.text(pointer, "alias \(aliases.count + 1)"))
            next = next?.successor()
        }
        let status = try fields.text(source.status, "status")
        guard ["stable", "experimental"].contains(status) else {
            throw fields.invalid("status", expected: "'stable' or 'experimental'", actual: "'\(status)'")
        }
        return CatalogueEntry(
            id: id, type: "'\(id)' of '\(fields.file)'", aliases: aliases,
            family: try fields.text(source.family, "family"), title: try fields.text(source.title, "title"),
            summary: try fields.text(source.summary, "summary"), paper: try fields.text(source.paper, "paper"),
            status: status, priority: Int(source.priority))
    }

    private static func capabilities(
        _ source: zoo_operator, _ fields: PluginFields
    ) throws(PluginError) -> AttentionCapabilities {
        let dtypes = try fields.set(source.dtypes, "dtypes", known: dtypeBits)
        guard !dtypes.isEmpty else {
            throw PluginError(file: fields.file, .missingField(owner: fields.owner, field: "dtypes"))
        }
        guard source.minimum_head_dim >= 1, source.maximum_head_dim >= source.minimum_head_dim else {
            throw fields.invalid(
                "head dims", expected: "a range from 1 up",
                actual: "\(source.minimum_head_dim) to \(source.maximum_head_dim)")
        }
        var features = Set(try fields.set(source.features, "features", known: featureBits))
        // The host writes masks that are no band into the dense mask.
        if features.contains(.denseMask) {
            features.formUnion([.maskAlgebra, .documents, .treeMask, .blockLayout, .maskFunction])
        }
        let limit = try fields.optional(source.limit, "limit")
        let traits =
            limit.isEmpty
            ? Set(AttentionTrait.allCases) : Set(try fields.set(source.traits, "traits", known: traitBits))
        return AttentionCapabilities(
            dtypes: dtypes, headDims: Int(source.minimum_head_dim)...Int(source.maximum_head_dim), features: features,
            exactness: limit.isEmpty ? .exact : .approximate(limit: limit),
            workingMemory: try fields.text(source.working_memory, "working_memory"),
            arithmetic: try fields.text(source.arithmetic, "arithmetic"), hasGradients: source.backward != nil,
            traits: traits)
    }

    private static func options(
        _ source: zoo_operator, _ fields: PluginFields
    ) throws(PluginError) -> [OptionDescription] {
        guard source.option_count > 0 else { return [] }
        guard let list = source.options else {
            throw PluginError(file: fields.file, .missingField(owner: fields.owner, field: "options"))
        }
        guard source.create != nil else {
            throw PluginError(
                file: fields.file, .missingField(owner: fields.owner, field: "create function for its options"))
        }
        var options: [OptionDescription] = []
        for index in 0..<Int(clamping: source.option_count) {
            let label = "option \(index + 1)"
            let name = try fields.text(list[index].name, "name of \(label)")
            guard !AttentionSpecification.commonKeys.contains(name), !options.contains(where: { $0.name == name })
            else {
                throw fields.invalid(label, expected: "a name that is not taken", actual: "'\(name)'")
            }
            options.append(
                OptionDescription(
                    name, try fields.text(list[index].summary, "summary of \(label)"),
                    default: try fields.text(list[index].default_value, "default_value of \(label)")))
        }
        return options
    }

    private static func checkFunctions(_ source: zoo_operator, _ fields: PluginFields) throws(PluginError) {
        func missing(_ function: String) -> PluginError {
            PluginError(file: fields.file, .missingField(owner: fields.owner, field: "\(function) function"))
        }
        guard source.forward != nil else { throw missing("forward") }
        if source.create != nil, source.destroy == nil { throw missing("destroy") }
        if source.create == nil, source.destroy != nil { throw missing("create") }
        let isExact = source.limit.map { $0.pointee == 0 } ?? true
        if !isExact, source.reference == nil { throw missing("reference") }
        if !isExact, source.backward != nil, source.reference_backward == nil { throw missing("reference_backward") }
    }

    static let dtypeBits: [(bit: UInt32, item: DType)] = [
        (UInt32(ZOO_F32), .float32), (UInt32(ZOO_F64), .float64), (UInt32(ZOO_F16), .float16),
        (UInt32(ZOO_BF16), .bfloat16),
    ]

    static let featureBits: [(bit: UInt64, item: AttentionFeature)] = [
        (UInt64(ZOO_FEATURE_VALUE_DIM), .valueDim), (UInt64(ZOO_FEATURE_GROUPED_QUERY), .groupedQuery),
        (UInt64(ZOO_FEATURE_CROSS_LENGTH), .crossLength), (UInt64(ZOO_FEATURE_CAUSAL), .causal),
        (UInt64(ZOO_FEATURE_WINDOW), .window), (UInt64(ZOO_FEATURE_DENSE_MASK), .denseMask),
        (UInt64(ZOO_FEATURE_KEY_LENGTHS), .keyLengths), (UInt64(ZOO_FEATURE_QUERY_LENGTHS), .queryLengths),
        (UInt64(ZOO_FEATURE_BIAS), .bias), (UInt64(ZOO_FEATURE_SOFTCAP), .softcap),
        (UInt64(ZOO_FEATURE_ALIBI), .alibi), (UInt64(ZOO_FEATURE_SINKS), .sinks),
        (UInt64(ZOO_FEATURE_LOG_SUM_EXP), .logSumExp),
    ]

    private static let traitBits: [(bit: UInt32, item: AttentionTrait)] = [
        (UInt32(ZOO_TRAIT_SOFTMAX), .softmax), (UInt32(ZOO_TRAIT_WEIGHTED_MEAN), .weightedMean),
        (UInt32(ZOO_TRAIT_KEY_ORDER_FREE), .keyOrderFree), (UInt32(ZOO_TRAIT_ROW_INDEPENDENT), .rowIndependent),
        (UInt32(ZOO_TRAIT_ANY_SCORE), .anyScore), (UInt32(ZOO_TRAIT_SEES_EVERY_KEY), .seesEveryKey),
    ]
}
