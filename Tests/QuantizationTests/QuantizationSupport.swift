import Foundation
import Kernels
import Quantization
import TensorCore

/// Operands that look like a transformer's: channels that go together, and a few that are large.
enum Operands {
    static func weight(_ outputs: Int, _ inputs: Int, seed: UInt64 = 1) -> Tensor {
        .random(uniform: [outputs, inputs], seed: seed)
    }

    /// Inputs `[rows, inputs]` of a quarter as many independent causes.
    static func activations(_ rows: Int, _ inputs: Int, seed: UInt64 = 2) throws -> Tensor {
        let causes = max(1, inputs / 4)
        var values = [Float](repeating: 0, count: rows * inputs)
        func random(_ stream: UInt64, _ index: Int) -> Float {
            CounterRandom.uniform(seed: seed &* 31 &+ stream, index: UInt64(index))
        }
        for row in 0..<rows {
            for input in 0..<inputs {
                var sum = random(0, row * inputs + input) / 4
                for cause in 0..<causes { sum += random(1, row * causes + cause) * random(2, cause * inputs + input) }
                values[row * inputs + input] = sum * (input % 17 == 3 ? 20 : 1)
            }
        }
        return try Tensor(values, shape: [rows, inputs])
    }

    static func hessian(_ inputs: Int, seed: UInt64 = 2) throws -> InputHessian {
        var hessian = InputHessian(inputs: inputs)
        try hessian.add(activations(3 * inputs, inputs, seed: seed), context: ComputeContext(threads: 1))
        return hessian
    }

    /// H = I.
    static func identity(_ inputs: Int) throws -> InputHessian {
        let elements = (0..<inputs * inputs).map { Float($0 / inputs == $0 % inputs ? 1 : 0) }
        return try InputHessian(matrix: Tensor(elements, shape: [inputs, inputs]), count: 1)
    }

    /// Every kind of scheme that exists, with groups of 16 and whole rows.
    static var schemes: [QuantizationScheme] {
        [16, nil].flatMap { size in
            [2, 3, 4, 8].flatMap { bits in
                [true, false].map { QuantizationScheme(bits: bits, groupSize: size, isSymmetric: $0) }
            } + [.ternary(groupSize: size)]
        }
    }

    /// Schemes and the shapes `[outputs, inputs]` that they fit.
    static var cases: [(scheme: QuantizationScheme, outputs: Int, inputs: Int)] {
        schemes.flatMap { scheme in
            [(1, 32), (17, 32), (17, 33), (1, 1)].filter { $0.1 % (scheme.groupSize ?? $0.1) == 0 }
                .map { (scheme, $0.0, $0.1) }
        }
    }

    /// `x · Wᵀ` in Double, rounded to F32.
    static func product(_ x: Tensor, _ weight: Tensor) throws -> Tensor {
        let (a, b) = (x.doubles(), weight.doubles())
        let (rows, inputs, outputs) = (x.shape[0], x.shape[1], weight.shape[0])
        var result = [Float](repeating: 0, count: rows * outputs)
        for row in 0..<rows {
            for output in 0..<outputs {
                var sum = 0.0
                for input in 0..<inputs { sum += a[row * inputs + input] * b[output * inputs + input] }
                result[row * outputs + output] = Float(sum)
            }
        }
        return try Tensor(result, shape: [rows, outputs])
    }
}
