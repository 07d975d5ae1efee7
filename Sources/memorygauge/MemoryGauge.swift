import AttentionCore
import AttentionOperators
import AttentionTesting
import CAllocationGauge
import Foundation
import Kernels
import TensorCore

/// Compares what plans say about memory with what calls hold, case by case; a line of JSON for each.
///
///     memorygauge [--operators flash,full] [--threads 1] [--cases long]
///
/// A process of its own, because it counts every allocation of its process.
@main
struct MemoryGauge {
    static func main() throws {
        guard allocation_gauge_exists() == 1 else {
            print(#"{"unavailable":"allocations are counted on Linux with glibc alone"}"#)
            return
        }
        // Large tensors map memory and keep it for the next one: what counts is those that live.
        LargeMemory.observe { allocation_gauge_add($0) }
        let arguments = GaugeArguments(CommandLine.arguments)
        for threads in arguments.threads {
            let context = try ComputeContext(threads: threads)
            Self.warm(context)
            for id in arguments.operators ?? OperatorRegistry.builtIn.entries.map(\.id) {
                let configured = try OperatorRegistry.builtIn[id]
                for attentionCase in arguments.forwardCases { try forward(configured, attentionCase, context) }
                for gradientCase in arguments.gradientCases { try backward(configured, gradientCase, context) }
            }
        }
    }

    /// Starts threads and makes what OpenBLAS keeps for the process, which no plan counts.
    private static func warm(_ context: ComputeContext) {
        context.parallel(64) { _, _ in usleep(1000) }
        let inputs = AttentionCase("warm", queryLength: 70, headDim: 64).inputs()
        for precision in ReferencePrecision.allCases {
            context.parallel(64) { _, _ in
                _ = try? DenseReference.forward(inputs, options: .init(), precision: precision)
            }
        }
    }

    private static func forward(
        _ configured: ConfiguredOperator, _ attentionCase: AttentionCase, _ context: ComputeContext
    ) throws {
        let options = try attentionCase.options()
        var inputs = attentionCase.inputs()
        let problem = try AttentionProblem(inputs, options: options)
        guard configured.unsupportedReasons(for: problem).isEmpty else { return }
        inputs = try configured.initialising(inputs, options: options, seed: 1).inputs
        let smallest = configured.plan(problem, context: context.limited(toBytes: 1)).peakBytes
        for (direction, context) in [("forward", context), ("forward-limited", context.limited(toBytes: smallest))] {
            let planned = configured.plan(problem, context: context).peakBytes
            let measured = try growth(upTo: planned) {
                try configured.forward(inputs, options: options, context: context)
            }
            report(configured, direction, attentionCase, context, planned: planned, measured: measured)
        }
    }

    private static func backward(
        _ configured: ConfiguredOperator, _ gradientCase: GradientCase, _ context: ComputeContext
    ) throws {
        let prepared = try gradientCase.prepared(for: configured)
        let problem = prepared.problem
        guard configured.unsupportedReasons(for: problem).isEmpty,
            configured.unsupportedGradientReasons(for: problem).isEmpty
        else { return }
        guard let smallest = configured.gradientPlan(problem, context: context.limited(toBytes: 1))?.peakBytes else {
            print(#"{"missing":"\#(configured.id) has gradients but no plan of them"}"#)
            return
        }
        let output = try configured.forward(prepared.inputs, options: prepared.options, context: context)
        for (direction, context) in [("backward", context), ("backward-limited", context.limited(toBytes: smallest))] {
            let planned = configured.gradientPlan(problem, context: context)?.peakBytes ?? 0
            let measured = try growth(upTo: planned) {
                try configured.backward(
                    prepared.inputs, output: output, gradient: prepared.gradient, options: prepared.options,
                    context: context)
            }
            report(configured, direction, gradientCase.attention, context, planned: planned, measured: measured)
        }
    }

    /// The highest number of bytes of a call, with nothing kept from calls before.
    ///
    /// The largest of several, until the plan is all but reached: threads need not be at their peaks together.
    private static func growth<Result>(upTo planned: Int, _ call: () throws -> Result) throws -> Int {
        var highest = 0
        for count in 0..<20 where count < 2 || Double(highest) * 1.08 + Double(64 << 10) < Double(planned) {
            Workspace.freeKept()
            OrthogonalFeatures.freeKept()
            allocation_gauge_reset()
            let result = try call()
            highest = max(highest, allocation_gauge_growth())
            withExtendedLifetime(result) {}
        }
        return highest
    }

    private static func report(
        _ configured: ConfiguredOperator, _ direction: String, _ attentionCase: AttentionCase,
        _ context: ComputeContext, planned: Int, measured: Int
    ) {
        let fields: [String: Any] = [
            "operator": configured.id, "direction": direction, "case": attentionCase.name,
            "threads": context.threads, "planned": planned, "measured": measured,
            "isStrided": attentionCase.isStrided == true,
        ]
        let data = try? JSONSerialization.data(withJSONObject: fields, options: .sortedKeys)
        print(data.map { String(decoding: $0, as: UTF8.self) } ?? "")
    }
}
