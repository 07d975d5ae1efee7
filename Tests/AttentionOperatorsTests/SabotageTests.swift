import AttentionCore
import AttentionTesting
import Kernels
import Synchronization
import TensorCore
import Testing

/// A mistake of the kinds that attention code makes.
enum Fault: String, CaseIterable, Codable, Sendable {
    case none, causalOffByOne, lastKeyDropped, wrongKeyHead, paddingRead, biasIgnored, softcapIgnored, sinksIgnored
    case hiddenNaNLeaks, emptyRowIsNaN, logSumExpInBase2, threadDependent, batchDependent, modifiesInputs, slightlyOff
}

/// The reference as an operator, with a planted mistake.
struct SabotagedAttention: AttentionOperator {
    struct Configuration: OperatorConfiguration {
        var fault = Fault.none
        static var options: [OptionDescription] { [OptionDescription("fault", "the planted mistake", default: "none")] }
    }

    static let capabilities = AttentionCapabilities(
        dtypes: [.float32], headDims: 1...4096,
        features: Set(AttentionFeature.allCases).subtracting([.dtype, .headDim, .configuration, .dropout]),
        exactness: .exact, workingMemory: "O(L^2)", arithmetic: "O(L^2)")

    let configuration: Configuration

    init(_ configuration: Configuration) { self.configuration = configuration }

    func plan(_ problem: AttentionProblem, context: ComputeContext) -> AttentionPlan {
        AttentionPlan(
            problem: problem, queryTile: 1, keyTile: 1, tasks: 1, workspaceBytes: 0, isa: context.isa,
            threads: context.threads)
    }

    func forward(
        _ inputs: AttentionInputs, plan: AttentionPlan, context: ComputeContext
    ) throws(AttentionError) -> AttentionOutput {
        var inputs = inputs
        var options = plan.problem.options
        do {
            try plant(&inputs, &options, plan.problem)
        } catch {
            throw .tensor(operand: "sabotage", reason: "\(error)")
        }
        var result = try DenseReference.forward(inputs, options: options, precision: .float)
        do {
            try corrupt(&result, inputs, plan.problem, context)
        } catch {
            throw .tensor(operand: "sabotage", reason: "\(error)")
        }
        return result
    }

    private func plant(
        _ inputs: inout AttentionInputs, _ options: inout AttentionOptions, _ problem: AttentionProblem
    ) throws {
        switch configuration.fault {
        case .causalOffByOne:
            if case .causal = options.mask { options.mask = .window(left: nil, right: 1) }
        case .lastKeyDropped
        where problem.keyLength > 1 && problem.keyLengths == nil && problem.biasShape == nil
            && problem.maskShape == nil && options.mask == .full:
            inputs.key = try inputs.key.sliced(1, 0..<problem.keyLength - 1)
            inputs.value = try inputs.value.sliced(1, 0..<problem.keyLength - 1)
        case .wrongKeyHead where problem.kvHeads > 1:
            let order = (0..<problem.kvHeads).map { ($0 + 1) % problem.kvHeads }
            inputs.key = try Self.heads(inputs.key, order)
            inputs.value = try Self.heads(inputs.value, order)
        case .paddingRead: inputs.keyLengths = nil
        case .biasIgnored: inputs.bias = nil
        case .softcapIgnored: options.softcap = nil
        case .sinksIgnored: inputs.sinks = nil
        case .modifiesInputs:
            try inputs.query.withUnsafeElements(Float.self) { numbers in
                if let first = numbers.baseAddress { UnsafeMutablePointer(mutating: first).pointee += 1 }
            }
        default: break
        }
    }

    private func corrupt(
        _ result: inout AttentionOutput, _ inputs: AttentionInputs, _ problem: AttentionProblem,
        _ context: ComputeContext
    ) throws {
        switch configuration.fault {
        case .hiddenNaNLeaks where inputs.value.doubles().contains { !$0.isFinite }:
            result.output = try Tensor([Float](repeating: .nan, count: result.output.count), shape: result.output.shape)
        case .emptyRowIsNaN:
            let numbers = result.output.floats().map { $0 == 0 ? Float.nan : $0 }
            result.output = try Tensor(numbers, shape: result.output.shape)
        case .logSumExpInBase2:
            if let logarithms = result.logSumExp {
                result.logSumExp = try Tensor(logarithms.floats().map { $0 * 1.442695 }, shape: logarithms.shape)
            }
        case .threadDependent where context.threads > 1: try nudge(&result, by: 1)
        case .batchDependent where problem.batch > 1: try nudge(&result, by: 1)
        case .slightlyOff: try nudge(&result, by: 200)
        default: break
        }
    }

    /// Moves every number by a few units in the last place.
    private func nudge(_ result: inout AttentionOutput, by units: UInt32) throws {
        let numbers = result.output.floats().map { $0 == 0 ? 0 : Float(bitPattern: $0.bitPattern &+ units) }
        result.output = try Tensor(numbers, shape: result.output.shape)
    }

    private static func heads(_ tensor: Tensor, _ order: [Int]) throws -> Tensor {
        let shape = tensor.shape
        let numbers = tensor.floats()
        var result: [Float] = []
        for row in 0..<shape[0] * shape[1] {
            for head in order {
                let start = (row * shape[2] + head) * shape[3]
                result += numbers[start..<start + shape[3]]
            }
        }
        return try Tensor(result, shape: shape)
    }
}

/// The tests of the tests: each planted mistake is caught, and no mistake is not.
@Suite struct SabotageTests {
    @Test(arguments: Fault.allCases)
    func everyMistakeIsCaught(fault: Fault) throws {
        let configured = ConfiguredOperator(
            entry: CatalogueEntry(
                id: "sabotaged", type: "SabotagedAttention", family: "test", title: "Sabotaged", summary: "A mistake.",
                paper: "none"),
            operator: SabotagedAttention(SabotagedAttention.Configuration(fault: fault)))
        let context = try ComputeContext(threads: 2)
        let cases = ConformanceCases.standard.filter { $0.dtype == .float32 && $0.headDim <= 32 }
        let report = ConformanceSuite.run(configured, contexts: [context], cases: cases, minimumAccepted: 1)
        let broken = PropertyChecks(configured, context: context).run().failures
        if fault == .none {
            #expect(report.isPassing, "\(report)")
            #expect(broken.filter { !$0.contains("bits") } == [])
        } else {
            #expect(!report.isPassing || !broken.isEmpty, "nobody noticed \(fault)")
        }
    }
}
