import Foundation
import TensorCore

/// What the reference needs of a number besides products.
protocol DenseNumber: BinaryFloatingPoint {
    /// A tensor's elements in row-major order.
    static func elements(of tensor: Tensor) -> [Self]
    /// e to the power of `x`.
    static func exponential(_ x: Self) -> Self
    /// The natural logarithm.
    static func logarithm(_ x: Self) -> Self
    /// The hyperbolic tangent.
    static func hyperbolicTangent(_ x: Self) -> Self
}

extension Float: DenseNumber {
    static func elements(of tensor: Tensor) -> [Float] { tensor.floats() }
    static func exponential(_ x: Float) -> Float { exp(x) }
    static func logarithm(_ x: Float) -> Float { log(x) }
    static func hyperbolicTangent(_ x: Float) -> Float { tanh(x) }
}

extension Double: DenseNumber {
    static func elements(of tensor: Tensor) -> [Double] { tensor.doubles() }
    static func exponential(_ x: Double) -> Double { exp(x) }
    static func logarithm(_ x: Double) -> Double { log(x) }
    static func hyperbolicTangent(_ x: Double) -> Double { tanh(x) }
}
