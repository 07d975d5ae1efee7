import Foundation
import Kernels
import TensorCore
import Testing

/// Products of rows with packed weights, for every instruction set of this CPU.
@Suite struct LinearTests {
    static let isas = ComputeContext.availableISAs
    /// Inputs around the blocks that products are cut into, outputs around panels.
    static let shapes = [(0, 3), (1, 1), (37, 65), (1024, 32), (1025, 33), (2100, 70), (40, 1100)]

    private func numbers(_ shape: Shape, seed: UInt64) -> Tensor { .random(uniform: shape, seed: seed) }

    @Test(arguments: isas)
    func productsAgreeWithDouble(isa: String) throws {
        let context = try ComputeContext(threads: 2, isa: isa)
        for (inputs, outputs) in Self.shapes {
            let weight = numbers([outputs, inputs], seed: 1)
            let bias = numbers([outputs], seed: 2)
            let packed = try PackedMatrix(weight, context: context)
            let (w, b) = (weight.doubles(), bias.doubles())
            for rows in [1, 5, 15, 171] {
                let x = numbers([rows, inputs], seed: 3)
                let result = try DenseLayers.linear(x, packed, bias: bias, context: context).floats()
                let cells = x.doubles()
                for row in stride(from: 0, to: rows, by: 17) {
                    for output in 0..<outputs {
                        let truth = (0..<inputs).reduce(b[output]) {
                            $0 + cells[row * inputs + $1] * w[output * inputs + $1]
                        }
                        #expect(abs(Double(result[row * outputs + output]) - truth) < 1e-4)
                    }
                }
            }
        }
    }

    @Test(arguments: isas, [DType.float32, .float16, .bfloat16])
    func aRowHasItsBitsAloneAndInAnyElementType(isa: String, dtype: DType) throws {
        for (inputs, outputs) in Self.shapes {
            let weight = numbers([outputs, inputs], seed: 4).converted(to: dtype)
            let x = numbers([190, inputs], seed: 5)
            let one = try ComputeContext(threads: 1, isa: isa)
            let wide = try PackedMatrix(weight.converted(to: .float32), context: one)
            let whole = try DenseLayers.linear(x, wide, context: one)
            for threads in [1, 2] {
                let context = try ComputeContext(threads: threads, isa: isa)
                let packed = try PackedMatrix(weight, context: context)
                #expect(try DenseLayers.linear(x, packed, context: context).bitwiseEquals(whole))
                for range in [0..<1, 3..<5, 7..<21, 20..<34, 100..<190] {
                    let part = try DenseLayers.linear(
                        x.sliced(0, range).contiguous(), packed, context: context)
                    #expect(try part.bitwiseEquals(whole.sliced(0, range).contiguous()), "\(range) of \(inputs)")
                }
            }
            #expect(wide.byteCount >= 4 * inputs * outputs)
        }
    }

    @Test func weightsMayLieTransposed() throws {
        let context = try ComputeContext()
        for dtype in [DType.float32, .bfloat16] {
            let weight = numbers([70, 41], seed: 6).converted(to: dtype)
            let turned = try weight.permuted([1, 0]).copied().permuted([1, 0])
            #expect(turned.strides == [1, 70])
            let x = numbers([3, 41], seed: 7)
            let plain = try DenseLayers.linear(x, PackedMatrix(weight, context: context), context: context)
            let other = try DenseLayers.linear(x, PackedMatrix(turned, context: context), context: context)
            #expect(other.bitwiseEquals(plain))
        }
        #expect(throws: TensorError.self) { _ = try PackedMatrix(Tensor(zeros: [3]), context: context) }
        #expect(throws: TensorError.self) {
            _ = try PackedMatrix(Tensor(zeros: [3, 3], dtype: .int32), context: context)
        }
    }

    @Test func narrowWeightsTakeHalfTheBytes() throws {
        let context = try ComputeContext()
        let weight = numbers([64, 64], seed: 8)
        #expect(try PackedMatrix(weight, context: context).byteCount == 4 * 64 * 64)
        #expect(try PackedMatrix(weight.converted(to: .bfloat16), context: context).byteCount == 2 * 64 * 64)
        #expect(PackedMatrix.bytes(outputs: 64, inputs: 64, dtype: .float16, context: context) == 2 * 64 * 64)
    }
}
