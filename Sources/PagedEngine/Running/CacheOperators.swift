package import AttentionCore
import Kernels
import Synchronization
import TensorCore
import TransformerBlocks

/// Which operators attend to the cache.
///
/// The layers' own operator does, or the dispatcher's choice, where it reads pages: one call for the whole batch. An operator
/// that does not read pages is called for each sequence on keys and values that are gathered for it, and in F32 where it does
/// not read INT8: any operator can run, at the cost of the copies, and a row's bits may then depend on how its prompt was cut.
package struct CacheOperators: Sendable {
    /// Attends where a sequence has several new rows; `nil` takes the layer's own.
    private let prefill: ResolvedAttention?
    /// Attends where a sequence has one; `nil` takes the layer's own.
    private let decode: ResolvedAttention?
    /// What the dispatcher has chosen, by layer: a layer's problems differ in lengths alone, and asking every operator again
    /// costs as much as a small layer.
    private let choices = OperatorChoices()
    /// The layers of a step differ in operands alone.
    private let plans = PlanMemory()

    /// The layers' own operators, or others for prompts and for single tokens.
    package init(prefill: ResolvedAttention? = nil, decode: ResolvedAttention? = nil) {
        self.prefill = prefill
        self.decode = decode
    }

    /// The names of the operators for prompts and for single tokens; `nil` where the dispatcher has not been asked yet.
    /// - Parameter own: the layers' own operator, where it has a name.
    func names(own: String?) -> (prefill: String?, decode: String?) {
        let chosen = own ?? choices.first?.id
        return (prefill?.specification.name ?? chosen, decode?.specification.name ?? chosen)
    }

    /// The output of a batch, `[1, rows, heads, headDim]`.
    func attend(
        _ inputs: AttentionInputs, _ call: StoredAttentionCall, decoding: [Bool]
    ) throws(AttentionError) -> Tensor {
        let first = prefill ?? call.attention
        if decode == nil, prefill == nil { return try attend(inputs, with: first, call, sequences: nil) }
        // Each sequence goes to the operator of its kind.
        let result = Tensor(unwritten: inputs.query.shape, dtype: inputs.query.dtype)
        for (kind, attention) in [(false, first), (true, decode ?? call.attention)] {
            let sequences = decoding.indices.filter { decoding[$0] == kind }
            if sequences.isEmpty { continue }
            Self.copy(
                try attend(inputs, with: attention, call, sequences: sequences), sequences, inputs.pages, into: result)
        }
        return result
    }

    /// - Parameter sequences: of the batch; `nil` takes all.
    private func attend(
        _ inputs: AttentionInputs, with attention: ResolvedAttention, _ call: StoredAttentionCall, sequences: [Int]?
    ) throws(AttentionError) -> Tensor {
        let part = try sequences.map { (list) throws(AttentionError) in try Self.part(inputs, list) } ?? inputs
        let refusal: AttentionError
        let readsBytes: Bool
        do throws(AttentionError) {
            return try choices.choice(for: attention, call) { () throws(AttentionError) in
                try AttentionProblem(part, options: call.options)
            }.forward(part, options: call.options, context: call.context, plans: plans).output
        } catch {
            guard case .unsupported(_, _, let reasons) = error,
                reasons.allSatisfy({ $0.aspect == .pages || $0.aspect == .int8Keys })
            else { throw error }
            refusal = error
            readsBytes = !reasons.contains { $0.aspect == .int8Keys }
        }
        guard let pages = part.pages, pages.queryStarts != nil else { throw refusal }
        let result = Tensor(unwritten: part.query.shape, dtype: part.query.dtype)
        for sequence in 0..<pages.sequences {
            let alone = try Self.part(part, [sequence]).gathered().withoutLengths
            let output = try attention.output(
                readsBytes ? alone : alone.widened(call.context.kernels), options: call.options, context: call.context)
            Self.copy(output, [sequence], pages, into: result)
        }
        return result
    }

    /// Some sequences of a batch.
    private static func part(_ inputs: AttentionInputs, _ sequences: [Int]) throws(AttentionError) -> AttentionInputs {
        guard let pages = inputs.pages, let starts = pages.queryStarts else { return inputs }
        let counts = sequences.map { starts[$0 + 1] - starts[$0] }
        let query = Tensor(
            unwritten: [1, counts.reduce(0, +), inputs.query.shape[2], inputs.query.shape[3]], dtype: inputs.query.dtype
        )
        let rowBytes = inputs.query.shape[2] * inputs.query.shape[3] * inputs.query.dtype.byteWidth
        let dense = inputs.query.contiguous()
        var row = 0
        withExtendedLifetime(dense) {
            for (sequence, count) in zip(sequences, counts) {
                (query.freshMutableAddress + row * rowBytes).copyMemory(
                    from: dense.baseAddress + starts[sequence] * rowBytes, byteCount: count * rowBytes)
                row += count
            }
        }
        var result = inputs
        result.query = query
        result.pages = try PagedKeys(
            pageSize: pages.pageSize, blockTables: sequences.map { pages.blockTables[$0] },
            keyLengths: sequences.map { pages.keyLengths[$0] },
            queryStarts: counts.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) })
        return result
    }

    /// Rows of some sequences to their places in the batch.
    private static func copy(_ output: Tensor, _ sequences: [Int], _ pages: PagedKeys?, into result: Tensor) {
        guard let starts = pages?.queryStarts else { return }
        let dense = output.contiguous()
        let rowBytes = result.shape[2] * result.shape[3] * result.dtype.byteWidth
        var row = 0
        withExtendedLifetime(dense) {
            for sequence in sequences {
                let count = starts[sequence + 1] - starts[sequence]
                (result.freshMutableAddress + starts[sequence] * rowBytes).copyMemory(
                    from: dense.baseAddress + row * rowBytes, byteCount: count * rowBytes)
                row += count
            }
        }
    }
}

/// The dispatcher's choices for layers.
private final class OperatorChoices: Sendable {
    private let known = Mutex<[Int: ConfiguredOperator]>([:])

    /// The choice for the first layer that was asked for.
    var first: ConfiguredOperator? { known.withLock { known in known.min { $0.key < $1.key }?.value } }

    /// The operator of a layer; the dispatcher is asked once, a named operator is there already.
    func choice(
        for attention: ResolvedAttention, _ call: StoredAttentionCall,
        _ problem: () throws(AttentionError) -> AttentionProblem
    ) throws(AttentionError) -> ConfiguredOperator {
        guard attention.specification.name == AttentionSpecification.automatic else {
            return try attention.choose(for: try problem(), context: call.context)
        }
        if let choice = known.withLock({ $0[call.layer] }) { return choice }
        let choice = try attention.choose(for: try problem(), context: call.context)
        known.withLock { $0[call.layer] = choice }
        return choice
    }
}

extension AttentionInputs {
    /// One sequence has the lengths of its tensors.
    fileprivate var withoutLengths: AttentionInputs {
        var result = self
        result.queryLengths = nil
        result.keyLengths = nil
        return result
    }

    /// Gathered INT8 keys and values times their scales, in F32; itself where they are floating-point.
    fileprivate func widened(_ kernels: KernelTable) -> AttentionInputs {
        guard let keyScales, let valueScales else { return self }
        var result = self
        result.key = Self.product(key, keyScales, kernels)
        result.value = Self.product(value, valueScales, kernels)
        result.keyScales = nil
        result.valueScales = nil
        return result
    }

    /// Dense `[..., width]` bytes times a number for each row.
    private static func product(_ bytes: Tensor, _ scales: Tensor, _ kernels: KernelTable) -> Tensor {
        let result = Tensor(unwritten: bytes.shape)
        let target = result.freshMutableAddress.assumingMemoryBound(to: Float.self)
        let width = bytes.shape[3]
        withExtendedLifetime((bytes, scales)) {
            let factors = scales.baseAddress.assumingMemoryBound(to: Float.self)
            kernels.toFloat(target, from: bytes.baseAddress, code: DType.int8.kernelCode ?? 0, count: bytes.count)
            for row in 0..<scales.count {
                for cell in row * width..<(row + 1) * width { target[cell] *= factors[row] }
            }
        }
        return result
    }
}

extension ResolvedAttention {
    /// The operator's output with options that are not its specification's.
    fileprivate func output(
        _ inputs: AttentionInputs, options: AttentionOptions, context: ComputeContext
    ) throws(AttentionError) -> Tensor {
        let configured = try choose(for: AttentionProblem(inputs, options: options), context: context)
        return try configured.forward(inputs, options: options, context: context).output
    }
}
