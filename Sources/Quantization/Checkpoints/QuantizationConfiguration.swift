/// How the weights of a checkpoint are quantised: `quantization_config` of its `config.json`, or the file beside it.
///
/// The names of fields in files are those of transformers, AutoGPTQ, GPTQModel, AutoAWQ and compressed-tensors.
public struct QuantizationConfiguration: Sendable, Hashable {
    /// A layout of tensors.
    public enum Method: Sendable, Hashable {
        /// `qweight`, `qzeros`, `scales` and `g_idx` of GPTQ. Version 1 stores each zero less one (`gptq`), version 2
        /// as it is (`gptq_v2`).
        case gptq(isVersion2: Bool)
        /// AutoAWQ's `gemm`: 4 bits, packed along the outputs in the order 0 2 4 6 1 3 5 7.
        case awqGEMM
        /// AutoAWQ's `gemv`: 4 bits, packed along the inputs, scales and zeros padded. Read only.
        case awqGEMV
        /// compressed-tensors: `pack-quantized`, or `int-quantized`, which is read only.
        case compressedTensors

        /// The name of this layout in files.
        public var name: String {
            switch self {
            case .gptq(let isVersion2): isVersion2 ? "gptq_v2" : "gptq"
            case .awqGEMM: "gemm"
            case .awqGEMV: "gemv"
            case .compressedTensors: "compressed-tensors"
            }
        }
    }

    /// The layout.
    public var method: Method
    /// Bits of a code: 2, 3, 4 or 8; with target groups, the first one's.
    public var bits: Int
    /// Inputs that share a scale; `nil`: the whole row (−1 in files).
    public var groupSize: Int?
    /// Whether the file says that every zero is 2^(bits − 1); `false` where it says nothing.
    public var isSymmetric: Bool
    /// Whether inputs were quantised in order of their activations (`desc_act`), so that `g_idx` must be there.
    public var isActOrdered: Bool
    /// Whether groups were set before inputs were put in order (`static_groups`); files are read alike.
    public var hasStaticGroups: Bool
    /// Whether a block's layers were quantised one after another (`true_sequential`); files are read alike.
    public var isTrueSequential: Bool
    /// The part of the Hessian's mean diagonal that was added to it (`damp_percent`), if the file says so.
    public var dampPercent: Double?
    /// Whether the head is quantised too (`lm_head`).
    public var hasQuantizedHead: Bool
    /// Modules that are left as they are: AWQ's `modules_to_not_convert`, compressed-tensors' `ignore`.
    public var unconvertedModules: [String]
    /// GPTQModel's `dynamic`, in the order of the file: the first that matches counts.
    public var rules: [ModuleRule]
    /// compressed-tensors' `config_groups`.
    public var targetGroups: [TargetGroup]
    /// The file that errors name.
    public var file: String

    /// A configuration to write; for compressed-tensors, of every linear layer.
    public init(
        method: Method, bits: Int, groupSize: Int?, isSymmetric: Bool, isActOrdered: Bool = false,
        hasStaticGroups: Bool = false, isTrueSequential: Bool = true, dampPercent: Double? = nil,
        hasQuantizedHead: Bool = false, unconvertedModules: [String] = ["lm_head"], rules: [ModuleRule] = []
    ) {
        self.method = method
        self.bits = bits
        self.groupSize = groupSize
        self.isSymmetric = isSymmetric
        self.isActOrdered = isActOrdered
        self.hasStaticGroups = hasStaticGroups
        self.isTrueSequential = isTrueSequential
        self.dampPercent = dampPercent
        self.hasQuantizedHead = hasQuantizedHead
        self.unconvertedModules = unconvertedModules
        self.rules = rules
        let module = ModuleQuantization(
            bits: bits, groupSize: groupSize, isSymmetric: isSymmetric, isActOrdered: isActOrdered)
        let group = TargetGroup(name: "group_0", targets: ["Linear"], quantization: module)
        targetGroups = method == .compressedTensors ? [group] : []
        file = "quantization_config"
    }

    /// How a linear layer is quantised; `nil` when this configuration leaves it as it is.
    ///
    /// Cost: O(patterns): each is compiled.
    /// - Throws: ``CheckpointFormatError`` for a pattern that is no regular expression, or when target groups that
    ///   differ name the module alike.
    public func quantization(of module: String) throws(CheckpointFormatError) -> ModuleQuantization? {
        switch method {
        case .gptq: try ruled(module)
        case .awqGEMM, .awqGEMV: try converted(module)
        case .compressedTensors: try targeted(module)
        }
    }

    private var everywhere: ModuleQuantization {
        ModuleQuantization(bits: bits, groupSize: groupSize, isSymmetric: isSymmetric, isActOrdered: isActOrdered)
    }

    private func ruled(_ module: String) throws(CheckpointFormatError) -> ModuleQuantization? {
        var result = everywhere
        for rule in rules {
            let end = try NamePattern.end(of: rule.pattern, in: module, field: "dynamic", file: file)
            guard end != nil else { continue }
            if rule.leavesOut { return nil }
            result.bits = rule.bits ?? result.bits
            if let size = rule.fileGroupSize { result.groupSize = size == -1 ? nil : size }
            result.isSymmetric = rule.isSymmetric ?? result.isSymmetric
            result.isActOrdered = rule.isActOrdered ?? result.isActOrdered
            return result
        }
        let isHead = module.split(separator: ".").last == "lm_head"
        return isHead && !hasQuantizedHead ? nil : result
    }

    private func converted(_ module: String) throws(CheckpointFormatError) -> ModuleQuantization? {
        for key in unconvertedModules where try NamePattern.leavesOut(key, module, file: file) { return nil }
        return everywhere
    }

    private func targeted(_ module: String) throws(CheckpointFormatError) -> ModuleQuantization? {
        for entry in unconvertedModules {
            if entry == "Linear" { return nil }
            if try NamePattern.names(entry, module, field: "ignore", file: file) { return nil }
        }
        // A name says more than a class.
        var named: [TargetGroup] = []
        for group in targetGroups {
            for target in group.targets
            where try NamePattern.names(target, module, field: "\(group.name).targets", file: file) {
                named.append(group)
                break
            }
        }
        let candidates = named.isEmpty ? targetGroups.filter { $0.targets.contains("Linear") } : named
        guard let first = candidates.first else { return nil }
        if let other = candidates.first(where: { $0.quantization != first.quantization }) {
            throw CheckpointFormatError(
                place: file, field: "config_groups", expected: "one group for \(module)",
                actual: "\(first.name) and \(other.name), which differ")
        }
        return first.quantization
    }
}
