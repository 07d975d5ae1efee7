import Dispatch
import Kernels
import Quantization
import TensorCore

/// A product's weight in whole numbers, and how near it is.
struct QuantizedProduct {
    let product: DecoderProduct
    let weight: QuantizedWeight
    let report: QuantizationReport.Layer
}

/// Quantises the weights of products by one method.
struct ProductQuantizer {
    let method: QuantizationMethod
    let scheme: QuantizationScheme
    /// Whether files hold each zero less one, so that there is no place for 0.
    let storesZerosLessOne: Bool
    let context: ComputeContext

    /// Quantises a weight.
    /// - Parameters:
    ///   - weight: dense F32 `[outputs, inputs]`.
    ///   - clipping: the weight to quantise in its place, when some of it has been cut; errors are those to `weight`.
    ///   - statistics: of what goes in; `nil` without a calibration text.
    func callAsFunction(
        _ product: DecoderProduct, _ weight: Tensor, clipped: Tensor? = nil, block: Int?, _ statistics: InputHessian?
    ) throws(ModelError) -> QuantizedProduct {
        let begin = DispatchTime.now().uptimeNanoseconds
        return try ModelError.quantizing(product.module) { () throws(QuantizationError) in
            var result: QuantizedWeight
            var damping: Double?
            if case .gptq(let gptq, _) = method, let statistics {
                let outcome = try gptq.quantize(weight, scheme, hessian: statistics, context: context)
                result = outcome.weight
                damping = outcome.damping
            } else {
                result = try RoundToNearest.quantize(clipped ?? weight, scheme, context: context)
            }
            if storesZerosLessOne { result.raiseZeros() }
            let seconds = Double(DispatchTime.now().uptimeNanoseconds - begin) / 1e9
            let rounded = result.dequantized()
            let objective = try statistics?.objective(weight, rounded, context: context)
            let whole = try statistics?.objective(weight, Tensor(zeros: weight.shape), context: context)
            let norm = weight.squaredNorm(context: context)
            let report = QuantizationReport.Layer(
                module: product.module, block: block, outputs: product.outputs, inputs: product.inputs,
                groupSize: result.groupSize,
                weightError: norm > 0 ? weight.squaredDistance(to: rounded, context: context) / norm : 0,
                outputError: objective.map { $0 / max(whole ?? 0, .leastNormalMagnitude) }, objective: objective,
                damping: damping, seconds: seconds)
            return QuantizedProduct(product: product, weight: result, report: report)
        }
    }

    /// Adds rows to the statistics of a product's inputs.
    func add(_ rows: Tensor, to statistics: inout InputHessian, _ product: DecoderProduct) throws(ModelError) {
        try ModelError.quantizing(product.module) { () throws(QuantizationError) in
            try statistics.add(rows, context: context)
        }
    }
}
