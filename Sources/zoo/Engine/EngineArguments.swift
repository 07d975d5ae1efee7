import ArgumentParser
import AttentionCore
import Kernels
import PagedEngine
import TensorCore
import Tokenizers
import TransformerBlocks

/// The model of an engine command, and how the engine uses memory and time.
struct EngineArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A Hugging Face directory: config.json, safetensors, tokenizer.json. By default the model that comes with zoo.",
            valueName: "dir"))
    var model: String?

    @Option(help: "An operator's name, or JSON with its options, or a JSON list of them for the layers in turn.")
    var attention: String?

    @Option(help: "Another operator where a sequence has several new tokens.")
    var prefillAttention: String?

    @Option(help: "Another operator where a sequence has one new token.")
    var decodeAttention: String?

    @Option(help: "The most tokens of a sequence, its prompt included; by default the model's.")
    var maxModelLen: Int?

    @Option(help: "Keys of a page.")
    var pageSize = 16

    @Option(help: "How keys and values are stored: F32, F16, BF16, or I8 with a scale for each token and head.")
    var kvCacheDtype = "F32"

    @Option(help: "The fraction of the visible memory that weights, keys and values may take together.")
    var memoryUtilization = 0.5

    @Option(help: "Pages of the cache; by default what --memory-utilization leaves.")
    var pageCount: Int?

    @Option(help: "Bytes for pages that are swapped out, as 512MiB; by default preempted prompts are computed again.")
    var swapSpace: ByteCount?

    @Option(help: ArgumentHelp("Keep swapped pages in a file of this folder.", valueName: "dir"))
    var swapDirectory: String?

    @Flag(inversion: .prefixedNo, help: "Let requests that begin alike share the pages of what is alike.")
    var prefixCaching = true

    @Option(help: "The most tokens of one step.")
    var maxNumBatchedTokens = 2048

    @Option(help: "The most sequences that are followed at once.")
    var maxNumSeqs = 128

    @Option(help: "Which request comes first: fcfs or priority.")
    var schedulingPolicy = "fcfs"

    @Option(
        help: "Make weights of a seed instead of reading them: for measuring; the directory needs config.json alone.")
    var randomWeights: UInt64?

    @Option(
        help: """
            How products with weights of few bits take their rows: int8, each 32 inputs with a scale, or float32, exactly \
            and slower.
            """)
    var activations = Activations.int8.rawValue

    @OptionGroup var plugins: PluginOptions
    @OptionGroup var machine: MachineOptions

    /// The options as an engine takes them.
    func options(seed: UInt64 = 0, maxQueue: Int? = nil) throws -> EngineOptions {
        guard let dtype = Self.cacheDType(kvCacheDtype) else {
            throw CommandFailure(.usage, "--kv-cache-dtype is '\(kvCacheDtype)'; expected F32, F16, BF16 or I8")
        }
        guard let policy = SchedulerConfiguration.Policy(rawValue: schedulingPolicy) else {
            throw CommandFailure(.usage, "--scheduling-policy is '\(schedulingPolicy)'; expected fcfs or priority")
        }
        var result = EngineOptions(
            maxModelLen: maxModelLen, pageSize: pageSize, cacheDType: dtype, memoryUtilization: memoryUtilization,
            pageCount: pageCount, swapSpace: swapSpace?.bytes ?? 0,
            swapDirectory: swapDirectory, prefixCaching: prefixCaching, maxNumBatchedTokens: maxNumBatchedTokens,
            maxNumSeqs: maxNumSeqs, policy: policy, seed: seed,
            attention: try Self.specifications(attention, "--attention"),
            prefillAttention: try Self.specifications(prefillAttention, "--prefill-attention").first,
            decodeAttention: try Self.specifications(decodeAttention, "--decode-attention").first)
        if let maxQueue { result.maxQueue = maxQueue }
        return result
    }

    /// Opens the model.
    func llm(seed: UInt64 = 0, maxQueue: Int? = nil) throws -> LLM {
        let options = try options(seed: seed, maxQueue: maxQueue)
        let registry = try plugins.makeRegistry()
        let context = try context()
        let directory = try directory()
        guard randomWeights != nil else {
            return try reportingEngine {
                try LLM(model: directory, options: options, registry: registry, context: context)
            }
        }
        let model = try decoder(directory, options, registry, context)
        return try reportingEngine { try LLM(model, tokenizer: nil, options: options, registry: registry) }
    }

    /// Threads, kernels, and how products with weights of few bits take their rows.
    func context() throws -> ComputeContext {
        guard let activations = Activations(rawValue: activations.lowercased()) else {
            throw CommandFailure(.usage, "--activations is '\(activations)'; expected int8 or float32")
        }
        var context = try machine.context()
        context.activations = activations
        return context
    }

    /// The model without its tokenizer: of the directory's weights, or of a seed.
    func decoder(
        _ directory: String, _ options: EngineOptions, _ registry: OperatorRegistry, _ context: ComputeContext
    ) throws -> CausalLanguageModel {
        try reporting {
            guard let randomWeights else {
                return try CausalLanguageModel(
                    directory: directory, attention: options.attention, registry: registry, context: context)
            }
            return try CausalLanguageModel(
                configurationOf: directory, randomWeights: randomWeights, attention: options.attention,
                registry: registry, context: context)
        }
    }

    /// The model's directory.
    func directory() throws -> String { try model ?? Resources.defaultModel() }

    /// A type by its name in files of weights, or by vLLM's: `bfloat16`, `int8_per_token_head`.
    private static func cacheDType(_ name: String) -> DType? {
        switch name.lowercased() {
        case "i8", "int8", "int8_per_token_head": .int8
        default: ElementArgument(argument: name)?.dtype
        }
    }

    private static func specifications(_ text: String?, _ option: String) throws -> [AttentionSpecification] {
        guard let text else { return [] }
        let value = try ConfigurationText.value(text, option: option, acceptsNames: true)
        return try reporting {
            guard case .array(let list) = value else { return [try AttentionSpecification(value)] }
            return try list.map { try AttentionSpecification($0) }
        }
    }
}

/// As `reporting`, with the errors of the engine.
func reportingEngine<Result>(_ body: () throws -> Result) throws -> Result {
    try reporting {
        do {
            return try body()
        } catch let error as EngineError {
            throw CommandFailure(error)
        }
    }
}

extension CommandFailure {
    init(_ error: EngineError) {
        switch error {
        case .model(let inner): self.init(inner)
        case .tokenizer(let inner): self.init(.data, inner.description)
        case .invalidOption, .swapSpace, .sampling(.invalidParameter): self.init(.usage, error.description)
        case .unsupported, .memory: self.init(.unsupported, error.description)
        case .sampling, .scheduling: self.init(.data, error.description)
        case .closed: self.init(.fault, error.description)
        }
    }
}
