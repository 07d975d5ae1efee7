import AttentionCore
import AttentionOperators
import AttentionTesting
import Kernels
import TensorCore
import Testing

/// `paged` by plans that were made for another call, or elsewhere.
@Suite struct FollowedPlanTests {
    /// A prompt, a long text, an empty one and two short ones.
    private static let queryLengths = [40, 1, 1, 1, 3]
    /// Once with two sequences of a whole range of 256 keys, where pages may be shared, once with one.
    private static let keyLengths = [[300, 700, 0, 17, 33], [200, 700, 0, 17, 33]]

    private static func inputs(_ keyLengths: [Int], seed: UInt64) throws -> AttentionInputs {
        var inputs = AttentionInputs(
            query: .random(uniform: [5, 40, 6, 24], seed: seed),
            key: .random(uniform: [5, 700, 2, 24], seed: seed + 1),
            value: .random(uniform: [5, 700, 2, 24], seed: seed + 2))
        inputs.queryLengths = queryLengths
        inputs.keyLengths = keyLengths
        return try inputs.paged(pageSize: 16, seed: seed, isRagged: true)
    }

    private static let options = AttentionOptions(mask: .causal(.bottomRight))

    /// Every instruction set on one thread and on two.
    private static func contexts() throws -> [ComputeContext] {
        try ComputeContext.availableISAs.flatMap { isa in
            try [1, 2].map { try ComputeContext(threads: $0, isa: isa) }
        }
    }

    @Test(arguments: [false, true], keyLengths)
    func aPlanOfAnotherContextGivesTheSameBits(sharesPrefixes: Bool, keyLengths: [Int]) throws {
        var configuration = PagedAttention.Configuration()
        configuration.sharesPrefixes = sharesPrefixes
        let paged = try PagedAttention(configuration)
        let inputs = try Self.inputs(keyLengths, seed: 1)
        let problem = try AttentionProblem(inputs, options: Self.options)
        let contexts = try Self.contexts()
        for context in contexts {
            let expected = try paged.forward(inputs, options: Self.options, context: context)
            for other in contexts {
                let plan = paged.plan(problem, context: other)
                let result = try paged.forward(inputs, plan: plan, context: context)
                #expect(result.output.bitwiseEquals(expected.output), "\(other.isa) under \(context.isa)")
            }
        }
    }

    @Test(arguments: keyLengths) func aRememberedPlanReadsTheTablesOfTheCall(keyLengths: [Int]) throws {
        let paged = try OperatorRegistry.builtIn["paged"]
        let context = try ComputeContext(threads: 2)
        let memory = PlanMemory()
        for seed in [1, 10, 20] as [UInt64] {
            let inputs = try Self.inputs(keyLengths, seed: seed)
            let expected = try paged.forward(inputs, options: Self.options, context: context).output
            let result = try paged.forward(inputs, options: Self.options, context: context, plans: memory).output
            #expect(result.bitwiseEquals(expected))
        }
    }
}
