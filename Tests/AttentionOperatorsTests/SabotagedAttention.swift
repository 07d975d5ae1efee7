import AttentionCore
import Foundation
import Kernels
import Synchronization
import TensorCore

/// Online softmax, written plainly and apart from the kernels, with one planted mistake or none.
///
/// Without a mistake it passes everything: what a check reports about a mistake is due to the mistake.
struct SabotagedAttention: AttentionOperator {
    struct Configuration: OperatorConfiguration {
        var fault = Fault.none
        static var options: [OptionDescription] { [OptionDescription("fault", "the planted mistake", default: "none")] }
    }

    static let capabilities = AttentionCapabilities(
        dtypes: [.float32, .float16, .bfloat16], headDims: 1...4096,
        features: Set(AttentionFeature.allCases).subtracting([.dtype, .headDim, .configuration, .dropout]),
        exactness: .exact, workingMemory: "O(1)", arithmetic: "O(L^2)")

    let configuration: Configuration
    private static let calls = Atomic<Int>(0)

    init(_ configuration: Configuration) { self.configuration = configuration }

    func unsupportedReasons(for problem: AttentionProblem) -> [UnsupportedReason] {
        let reasons = Self.capabilities.unsupportedReasons(for: problem)
        guard problem.queryLength == 17 else { return reasons }
        switch configuration.fault {
        // The reasons that `forward` throws are never those that were announced.
        case .throwsOtherReasons:
            return [UnsupportedReason(.configuration, "call \(Self.calls.add(1, ordering: .relaxed).newValue)")]
        case .refusesTooMuch: return [UnsupportedReason(.configuration, "dislikes 17 queries")]
        default: return reasons
        }
    }

    func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        AttentionPlan(
            problem: problem, queryTile: 1, keyTile: 16, tasks: 1, workspaceBytes: 0, isa: context.isa,
            threads: context.threads)
    }

    func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        if let pages = inputs.pages { return try forward(inputs, pages, plan.problem.options, context) }
        return try forward(inputs, plan: plan, context, firstChunk: 16)
    }

    /// Pages are gathered first.
    private func forward(
        _ inputs: AttentionInputs, _ pages: PagedKeys, _ options: AttentionOptions, _ context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        var inputs = inputs
        if configuration.fault == .pageOrderIgnored {
            inputs.pages = try PagedKeys(
                pageSize: pages.pageSize, blockTables: pages.blockTables.map { $0.sorted() },
                keyLengths: pages.keyLengths, queryStarts: pages.queryStarts)
        }
        let firsts = pages.blockTables.compactMap(\.first)
        let moves =
            switch configuration.fault {
            case .sharedPagesMoveChunks: Set(firsts).count < firsts.count
            case .raggedRowsMoveChunks: pages.queryStarts != nil
            case .absentPagesMoveChunks: firsts.contains(PagedKeys.absentPage)
            default: false
            }
        let gathered = inputs.gathered()
        let plan = plan(try AttentionProblem(gathered, options: options), context: context)
        return try forward(gathered, plan: plan, context, firstChunk: moves ? 17 : 16).ungathered(for: pages)
    }

    private func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, _ context: ComputeContext, firstChunk: Int
    ) throws(AttentionError) -> AttentionOutput {
        let problem = plan.problem
        let fault = configuration.fault
        let computation = SabotagedComputation(
            problem: problem, inputs: inputs, fault: fault, chunk: chunk(inputs, problem, context) + firstChunk - 16)
        var output = [Float](
            repeating: 0, count: problem.batch * problem.queryLength * problem.heads * problem.valueDim)
        var logSumExp = [Float](repeating: -.infinity, count: problem.batch * problem.heads * problem.queryLength)
        for batch in 0..<problem.batch {
            let lengths = problem.geometry(batch)
            let rows = fault == .paddedQueriesComputed ? problem.queryLength : lengths.queryLength
            for head in 0..<problem.heads {
                for query in 0..<rows {
                    let (row, logarithm) = computation.row(batch, head, query)
                    let cell = (batch * problem.queryLength + query) * problem.heads + head
                    output.replaceSubrange(cell * problem.valueDim..<(cell + 1) * problem.valueDim, with: row)
                    logSumExp[(batch * problem.heads + head) * problem.queryLength + query] = logarithm
                }
            }
        }
        if fault == .modifiesQuery { scribble(on: inputs.query) }
        if fault == .modifiesBias, let bias = inputs.bias { scribble(on: bias) }
        do throws(TensorError) {
            let result = try Tensor(
                output, shape: [problem.batch, problem.queryLength, problem.heads, problem.valueDim])
            return AttentionOutput(
                output: fault == .outputInFloat ? result : result.converted(to: problem.dtype),
                logSumExp: fault == .logSumExpMissing
                    ? nil : try Tensor(logSumExp, shape: [problem.batch, problem.heads, problem.queryLength]))
        } catch {
            throw .tensor(operand: "output", reason: error.description)
        }
    }

    /// Keys of one step of the online softmax.
    ///
    /// Other steps, other bits, hardly other numbers.
    private func chunk(_ inputs: AttentionInputs, _ problem: AttentionProblem, _ context: ComputeContext) -> Int {
        switch configuration.fault {
        case .threadsMoveChunks: 16 + context.threads
        case .batchMovesChunks: 16 + problem.batch
        case .paddingMovesChunks: 16 + problem.keyLength / 64
        case .queriesMoveChunks: 16 + problem.queryLength / 64
        case .stridesMoveChunks: inputs.key.isContiguous ? 16 : 17
        case .repeatsDiffer: 16 + Self.calls.add(1, ordering: .relaxed).newValue % 2
        default: 16
        }
    }

    private func scribble(on tensor: Tensor) {
        try? tensor.contiguous().withUnsafeElements(Float.self) { numbers in
            if let first = numbers.baseAddress { UnsafeMutablePointer(mutating: first).pointee += 1 }
        }
    }
}

/// One call of ``SabotagedAttention``.
struct SabotagedComputation {
    let problem: AttentionProblem
    let fault: Fault
    private let inputs: AttentionInputs
    private let chunk: Int
    private let query: [Float]
    private let key: [Float]
    private let value: [Float]
    private let bias: [Float]?
    private let mask: [Bool]?

    init(problem: AttentionProblem, inputs: AttentionInputs, fault: Fault, chunk: Int) {
        self.problem = problem
        var inputs = inputs
        if fault == .valueScalesIgnored, let scales = inputs.valueScales {
            inputs.valueScales = try? Tensor([Float](repeating: 0.01, count: scales.count), shape: scales.shape)
        }
        inputs = inputs.dequantized
        self.inputs = inputs
        self.fault = fault
        self.chunk = chunk
        query = inputs.query.floats()
        key = inputs.key.floats()
        value = inputs.value.floats()
        let scores = Shape([problem.batch, problem.heads, problem.queryLength, problem.keyLength])
        bias = (try? inputs.bias?.broadcast(to: scores))?.floats()
        mask = (try? inputs.mask?.broadcast(to: scores))?.floats().map { $0 != 0 }
    }

    /// FlashAttention-2, algorithm 1, for one query: the output row and its log-sum-exp.
    func row(_ batch: Int, _ head: Int, _ query: Int) -> (output: [Float], logSumExp: Float) {
        let geometry = geometry(batch)
        var highest = -Float.infinity
        var sum: Float = 0
        var output = [Float](repeating: 0, count: problem.valueDim)
        for start in stride(from: 0, to: geometry.keyLength, by: chunk) {
            let keys = start..<min(start + chunk, geometry.keyLength)
            let scores = keys.map { score(batch, head, query, $0, geometry) }
            let next = fault == .maximumForgotten ? 0 : scores.reduce(highest) { max($0, $1 ?? -.infinity) }
            let shift = next == -.infinity && fault != .infiniteBiasIsNaN ? 0 : next
            let rescale = fault == .rescaleForgotten ? 1 : exp(highest - shift)
            if highest > -.infinity {
                sum *= rescale
                for d in output.indices { output[d] *= rescale }
            }
            highest = next
            for (key, score) in zip(keys, scores) {
                guard let score, score != -.infinity || fault == .infiniteBiasIsNaN else {
                    if fault == .hiddenNaNLeaks { add(0, batch, head, key, to: &output) }
                    continue
                }
                let weight = exponential(score - shift)
                sum += weight
                // As kernels do that multiply values in sixteen bits.
                let rounded = Float(bitPattern: weight.bitPattern & 0xffff_0000)
                add(fault == .weightsInSixteenBits ? rounded : weight, batch, head, key, to: &output)
            }
        }
        return finish(&output, highest, sum, head)
    }

    private func finish(
        _ output: inout [Float], _ highest: Float, _ sum: Float, _ head: Int
    ) -> (output: [Float], logSumExp: Float) {
        let sink = fault == .sinksIgnored ? nil : inputs.sinks?[head]
        let peak = max(highest, sink ?? -.infinity)
        let own = highest == -.infinity ? 0 : sum * exp(highest - peak)
        let total = own + (sink.map { $0 == -.infinity ? 0 : exp($0 - peak) } ?? 0)
        let denominator = fault == .sinksInLogarithmOnly ? own : total
        // The accumulated values are relative to the highest score, the denominator to the peak.
        let factor = highest == -.infinity ? 0 : exp(highest - peak)
        if denominator != 0 || fault == .emptyRowIsNaN {
            for d in output.indices { output[d] = output[d] * factor / denominator }
        }
        let logarithm = total == 0 ? -Float.infinity : peak + log(total)
        return (output, fault == .logSumExpInBase2 ? logarithm * 1.442695 : logarithm)
    }

    /// A score with every modifier; `nil` when it is hidden.
    private func score(_ batch: Int, _ head: Int, _ query: Int, _ key: Int, _ geometry: MaskGeometry) -> Float? {
        if fault == .lastKeyDropped, key == geometry.keyLength - 1, key % 8 != 7, key > 0 { return nil }
        let maskHead = fault == .denseMaskOfHeadZero ? 0 : head
        let isVisible =
            allows(query, key, geometry) && mask?[cell(batch, maskHead, query, key)] ?? true
        guard isVisible else {
            // A mask that is added lets NaN through.
            let added = bias?[cell(batch, head, query, key)] ?? 0
            return fault == .hiddenBiasLeaks && added.isNaN ? added : nil
        }
        var dot = 0.0
        let q = ((batch * problem.queryLength + query) * problem.heads + head) * problem.headDim
        let k = keyRow(batch, head, key) * problem.headDim
        for d in 0..<problem.headDim { dot += Double(self.query[q + d]) * Double(self.key[k + d]) }
        let scale = fault == .scaleIgnored ? 1 / Float(problem.headDim).squareRoot() : problem.scale
        var score = Float(dot * Double(scale))
        let added = bias.map { $0[cell(batch, fault == .biasOfHeadZero ? 0 : head, query, key)] } ?? 0
        if fault == .softcapAfterBias { score += added }
        if let softcap = problem.options.softcap { score = softcap * tanh(score / softcap) }
        if fault != .softcapAfterBias, fault != .biasIgnored { score += added }
        if let slope = inputs.alibiSlopes?[head] {
            let distance = query + geometry.diagonal(.bottomRight) - key
            score -= slope * Float(fault == .alibiWithoutDistance ? distance : abs(distance))
        }
        if let function = problem.options.scoreFunction {
            let place = ScorePlace(batch: batch, head: head, query: query, key: key)
            score = Float(function.value(Double(score), place))
        }
        return score
    }

    private func allows(_ query: Int, _ key: Int, _ geometry: MaskGeometry) -> Bool {
        var mask = problem.options.mask
        switch (fault, mask) {
        case (.causalOffByOne, .causal(let corner)): mask = .window(left: nil, right: 1, corner: corner)
        case (.topLeftIsBottomRight, .causal): mask = .causal
        case (.windowOffByOne, .window(let left?, let right, let corner)):
            mask = .window(left: left + 1, right: right, corner: corner)
        default: break
        }
        return mask.allows(query: query, key: key, geometry)
    }

    private func geometry(_ batch: Int) -> MaskGeometry {
        let lengths = problem.geometry(batch)
        return MaskGeometry(
            queryLength: fault == .paddedQueriesComputed ? problem.queryLength : lengths.queryLength,
            keyLength: fault == .paddingRead ? problem.keyLength : lengths.keyLength, batch: batch)
    }

    private func cell(_ batch: Int, _ head: Int, _ query: Int, _ key: Int) -> Int {
        ((batch * problem.heads + head) * problem.queryLength + query) * problem.keyLength + key
    }

    private func keyRow(_ batch: Int, _ head: Int, _ key: Int) -> Int {
        let kvHead = fault == .wrongKeyHead ? head % problem.kvHeads : head / problem.group
        return (batch * problem.keyLength + key) * problem.kvHeads + kvHead
    }

    private func add(_ weight: Float, _ batch: Int, _ head: Int, _ key: Int, to output: inout [Float]) {
        let v = keyRow(batch, head, key) * problem.valueDim
        for d in output.indices { output[d] += weight * value[v + d] }
    }

    private func exponential(_ x: Float) -> Float {
        fault == .coarseExponential ? exp(x) * (1 + 2e-5 * sin(40 * x)) : exp(x)
    }
}
