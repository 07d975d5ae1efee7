package import Kernels
package import TensorCore

extension Tensor {
    /// The sum of squares of the elements of an F32 tensor, in Double.
    /// - Parameter context: spreads elements over threads; never changes a bit.
    package func squaredNorm(context: ComputeContext? = nil) -> Double {
        let dense = contiguous()
        let numbers = SendablePointer(dense.floats)
        let result = Self.squares(count, context) { Double(numbers.base[$0]) }
        withExtendedLifetime(dense) {}
        return result
    }

    /// The sum of squared differences of two F32 tensors with as many elements, in Double.
    /// - Parameter context: spreads elements over threads; never changes a bit.
    package func squaredDistance(to other: Tensor, context: ComputeContext? = nil) -> Double {
        let (first, second) = (contiguous(), other.contiguous())
        let (numbers, others) = (SendablePointer(first.floats), SendablePointer(second.floats))
        let result = Self.squares(count, context) { Double(numbers.base[$0]) - Double(others.base[$0]) }
        withExtendedLifetime((first, second)) {}
        return result
    }

    /// Σ number(index)², in four sums a task, so that none waits for the one before.
    @inline(__always)
    private static func squares(
        _ count: Int, _ context: ComputeContext?, _ number: @Sendable (_ index: Int) -> Double
    ) -> Double {
        let size = 1 << 16
        return context.sum((count + size - 1) / size) { task in
            let end = min(count, (task + 1) * size)
            var sums = SIMD4<Double>.zero
            var index = task * size
            while index + 4 <= end {
                let numbers = SIMD4(number(index), number(index + 1), number(index + 2), number(index + 3))
                sums += numbers * numbers
                index += 4
            }
            var sum = sums.sum()
            for index in index..<end { sum += number(index) * number(index) }
            return sum
        }
    }
}
