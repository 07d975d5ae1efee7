import AttentionCore
import Kernels
import TensorCore

extension GradientLaws {
    /// What must not change a gradient.
    static let invariance: [Law] = [
        Law(name: "the number of threads does not change a bit of a gradient") { laws in
            let problems = [
                try laws.prepared("threads", 300, 300, heads: 4, kvHeads: 1, batch: 2, config: ["causal": true]),
                try laws.prepared("threads-bias", 70, 130, heads: 4, kvHeads: 2, batch: 3, usesLogSumExp: true) {
                    $0.bias = .init(shape: [1, 1, 70, 1], seed: 3, amplitude: 1)
                    $0.sinks = [0.5, 1, -1, 0]
                },
                try laws.prepared("threads-plain", 64, 64, heads: 4, kvHeads: 4, batch: 2),
            ]
            let taken = problems.filter(laws.takes)
            guard let first = problems.first else { return [] }
            // Refused altogether: let the operator say why.
            if taken.isEmpty { _ = try laws.backward(first) }
            return try taken.flatMap { problem in
                let alone = try laws.backward(problem, context: ComputeContext(threads: 1, isa: laws.context.isa))
                return try [2, 3, 5].flatMap { threads in
                    let context = try ComputeContext(threads: threads, isa: laws.context.isa)
                    return laws.same(
                        alone, try laws.backward(problem, context: context), "\(problem.name), \(threads) threads")
                }
            }
        },
        Law(name: "repeating a gradient does not change a bit, nor its operands") { laws in
            let problem = try laws.prepared("repeat", 64, 64)
            let operands = [problem.inputs.query, problem.inputs.key, problem.inputs.value, problem.gradient.output]
            let before = operands.map { $0.copied() }
            let first = try laws.backward(problem)
            let second = try laws.backward(problem)
            let intact = zip(before, operands).allSatisfy { $0.bitwiseEquals($1) }
            return laws.same(first, second, "second call") + (intact ? [] : ["operands were modified"])
        },
        Law(name: "strides do not change a bit of a gradient") { laws in
            let problem = try laws.prepared("strides", 64, 64, heads: 4, kvHeads: 2, batch: 2, adapts: true)
            var views = problem
            views.inputs.query = AttentionCase.strided(problem.inputs.query)
            views.inputs.key = AttentionCase.strided(problem.inputs.key)
            views.inputs.value = AttentionCase.strided(problem.inputs.value)
            views.gradient.output = AttentionCase.strided(problem.gradient.output)
            return laws.same(try laws.backward(problem), try laws.backward(views), "strided operands")
        },
        Law(name: "a given output changes no gradient") { laws in
            let problem = try laws.prepared("given", 64, 64)
            let output = try laws.configured.forward(
                problem.inputs, options: problem.options, context: laws.context)
            let given = try laws.configured.backward(
                problem.inputs, output: output, gradient: problem.gradient, options: problem.options,
                context: laws.context)
            return laws.same(try laws.backward(problem), given, "output given")
        },
        Law(name: "gradients are linear in those of the results") { laws in
            let problem = try laws.prepared("linear", 64, 64, usesLogSumExp: true)
            var doubled = problem
            func twice(_ tensor: Tensor) throws -> Tensor {
                try Tensor(tensor.floats().map { $0 * 2 }, shape: tensor.shape)
            }
            doubled.gradient.output = try twice(problem.gradient.output)
            doubled.gradient.logSumExp = try problem.gradient.logSumExp.map(twice)
            let once = try laws.backward(problem)
            let result = try laws.backward(doubled)
            return try zip(once.named, result.named).flatMap { ours, theirs in
                try laws.near(theirs.tensor, twice(ours.tensor), "twice the gradient of \(ours.name)")
            }
        },
    ]
}
