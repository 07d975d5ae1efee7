import Foundation
import Kernels
import TensorCore
import Testing

/// Products with weights of few bits, on every instruction set.
@Suite struct QuantizedProductTests {
    struct Shape: Sendable, CustomTestStringConvertible {
        var rows: Int
        var outputs: Int
        var inputs: Int
        var bits: Int
        var groupSize: Int
        var scaleType = DType.float16
        var hasZeros = true
        var isShuffled = false

        var testDescription: String {
            "\(rows)x\(outputs)x\(inputs) \(bits) bits g\(groupSize) \(scaleType)\(hasZeros ? " zeros" : "")"
                + (isShuffled ? " shuffled" : "")
        }
    }

    static let shapes: [Shape] = [2, 3, 4, 8].flatMap { bits in
        [
            Shape(rows: 1, outputs: 1, inputs: 32, bits: bits, groupSize: 32),
            Shape(rows: 17, outputs: 33, inputs: 1, bits: bits, groupSize: 1, scaleType: .float32),
            Shape(rows: 3, outputs: 65, inputs: 96, bits: bits, groupSize: 96, hasZeros: false),
            Shape(rows: 33, outputs: 70, inputs: 160, bits: bits, groupSize: 32, scaleType: .bfloat16),
            Shape(rows: 14, outputs: 31, inputs: 130, bits: bits, groupSize: 130),
            Shape(rows: 5, outputs: 64, inputs: 96, bits: bits, groupSize: 16, hasZeros: false),
            Shape(rows: 8, outputs: 34, inputs: 192, bits: bits, groupSize: 64),
            Shape(rows: 29, outputs: 40, inputs: 256, bits: bits, groupSize: 64, isShuffled: true),
            Shape(
                rows: 1, outputs: 96, inputs: 1152, bits: bits, groupSize: 128, scaleType: .float32, isShuffled: true),
            Shape(rows: 180, outputs: 20, inputs: 2048, bits: bits, groupSize: 128),
            // Enough panels for streams side by side.
            Shape(rows: 1, outputs: 1103, inputs: 64, bits: bits, groupSize: 32),
            Shape(rows: 0, outputs: 20, inputs: 64, bits: bits, groupSize: 32),
            Shape(rows: 2, outputs: 0, inputs: 64, bits: bits, groupSize: 32),
        ]
    }

    static func weight(_ shape: Shape, seed: UInt64 = 5) throws -> QuantizedWeight {
        func numbers(_ count: Int, _ stream: UInt64) -> [Float] {
            Tensor.random(uniform: [max(1, count)], seed: seed &+ stream, amplitude: 1).floats().prefix(count).map {
                $0
            }
        }
        let groups = (shape.inputs + shape.groupSize - 1) / shape.groupSize
        let levels = Float(1 << shape.bits)
        func code(_ number: Float) -> Int { min(Int(levels) - 1, max(0, Int((number + 1) / 2 * levels))) }
        let raw = numbers(shape.outputs * groups, 2).map { 0.02 + abs($0) / 50 }
        let scales = try Tensor(raw, shape: [raw.count]).converted(to: shape.scaleType).converted(to: .float32).floats()
        var index: [Int32]?
        if shape.isShuffled {
            var places = (0..<shape.inputs).map { Int32($0 / shape.groupSize) }
            for (place, number) in numbers(shape.inputs, 3).enumerated() {
                places.swapAt(place, Int(abs(number) * Float(shape.inputs - 1)))
            }
            index = places
        }
        return try QuantizedWeight(
            outputs: shape.outputs, inputs: shape.inputs, bits: shape.bits, groupSize: shape.groupSize,
            codes: numbers(shape.outputs * shape.inputs, 1).map { UInt8(code($0)) }, scales: scales,
            scaleType: shape.scaleType,
            zeros: shape.hasZeros ? numbers(scales.count, 4).map { Int16(code($0) + 1) } : nil, groupIndex: index)
    }

    /// The inputs as kernels put them into bytes: blocks of 32 in the order of the groups.
    static func inBytes(_ rows: [Float], _ weight: QuantizedWeight) -> [Float] {
        var result = rows
        let members = (0..<weight.groups).map { group in (0..<weight.inputs).filter { weight.group(of: $0) == group } }
        for row in 0..<rows.count / weight.inputs {
            for member in members {
                for start in stride(from: 0, to: member.count, by: 32) {
                    let cells = member[start..<min(start + 32, member.count)].map { row * weight.inputs + $0 }
                    let most = cells.map { abs(rows[$0]) }.max() ?? 0
                    guard most > 0 else { continue }
                    for cell in cells {
                        result[cell] = (rows[cell] * (127 / most)).rounded(.toNearestOrEven) * (most / 127)
                    }
                }
            }
        }
        return result
    }

    @Test(arguments: shapes) func productsAreThoseOfTheDequantisedWeight(_ shape: Shape) throws {
        let weight = try Self.weight(shape)
        let x = Tensor.random(uniform: [shape.rows, shape.inputs], seed: 9, amplitude: 3)
        let bias = Tensor.random(uniform: [shape.outputs], seed: 10, amplitude: 1)
        let numbers = weight.dequantized().floats()
        for isa in ComputeContext.availableISAs {
            for activations in Activations.allCases {
                var context = try ComputeContext(threads: 2, isa: isa)
                context.activations = activations
                let rows = activations == .int8 ? Self.inBytes(x.floats(), weight) : x.floats()
                let product = try DenseLayers.linear(
                    x, [.quantized(QuantizedMatrix(weight, context: context))], bias: bias, context: context
                ).floats()
                try #require(product.count == shape.rows * shape.outputs)
                for row in 0..<shape.rows {
                    for output in 0..<shape.outputs {
                        var sum = Double(bias.floats()[output])
                        var size = abs(sum)
                        for input in 0..<shape.inputs {
                            let term =
                                Double(rows[row * shape.inputs + input])
                                * Double(numbers[output * shape.inputs + input])
                            sum += term
                            size += abs(term)
                        }
                        // Codes are multiplied before zeros are taken off: terms are up to twice their difference's range.
                        let largest = Double(1 << shape.bits) * 0.04 * 3 * Double(shape.inputs)
                        let bound = 0x1p-22 * (size + largest)
                        let difference = abs(Double(product[row * shape.outputs + output]) - sum)
                        #expect(difference <= bound, "\(isa) \(activations) row \(row) output \(output)")
                    }
                }
            }
        }
    }

    @Test(arguments: [2, 3, 4, 8]) func aRowHasItsBitsInAnyCompany(bits: Int) throws {
        let shape = Shape(rows: 45, outputs: 1100, inputs: 320, bits: bits, groupSize: 64, isShuffled: true)
        let weight = try Self.weight(shape)
        let x = Tensor.random(uniform: [shape.rows, shape.inputs], seed: 9, amplitude: 3)
        for isa in ComputeContext.availableISAs {
            for activations in Activations.allCases {
                var context = try ComputeContext(threads: 1, isa: isa)
                context.activations = activations
                let matrix = QuantizedMatrix(weight, context: context)
                let whole = try DenseLayers.linear(x, [.quantized(matrix)], context: context).floats()
                for count in [1, 2, 3, 4, 5, 7, 8, 9, 14, 15, 29] {
                    var threads = try ComputeContext(threads: 2, isa: isa)
                    threads.activations = activations
                    let part = try DenseLayers.linear(
                        x.sliced(0, 3..<3 + count), [.quantized(matrix)], context: threads)
                    let alone = whole[3 * shape.outputs..<(3 + count) * shape.outputs]
                    let isSame = part.floats().elementsEqual(alone) { $0.bitPattern == $1.bitPattern }
                    #expect(isSame, "\(isa) \(activations) \(count) rows")
                }
            }
        }
    }

    @Test(arguments: [2, 3, 4, 8], [Float(1), -1]) func theLargestSumsFit(bits: Int, input: Float) throws {
        let (outputs, inputs) = (33, 256)
        let largest = (1 << bits) - 1
        let weight = try QuantizedWeight(
            outputs: outputs, inputs: inputs, bits: bits, groupSize: 128,
            codes: [UInt8](repeating: UInt8(largest), count: outputs * inputs),
            scales: [Float](repeating: 1, count: outputs * 2), scaleType: .float32,
            zeros: [Int16](repeating: 0, count: outputs * 2), groupIndex: nil)
        for isa in ComputeContext.availableISAs {
            let context = try ComputeContext(threads: 2, isa: isa)
            let matrix = QuantizedMatrix(weight, context: context)
            for rows in [1, 4, 6, 8, 9, 14] {
                // Equal magnitudes are 127 or -127 each.
                let x = try Tensor([Float](repeating: input, count: rows * inputs), shape: [rows, inputs])
                let product = try DenseLayers.linear(x, [.quantized(matrix)], context: context).floats()
                let sum = input * Float(largest * inputs)
                #expect(product.allSatisfy { abs($0 - sum) <= 1e-5 * abs(sum) }, "\(isa) \(rows) rows: \(product[0])")
            }
        }
    }

    // A scale of F16 times a code is exact, one of F32 is not: there a second rounding would show.
    @Test(arguments: [DType.float16, .float32])
    func floatActivationsHaveTheBitsOfTheDequantisedWeight(scaleType: DType) throws {
        for rows in [1, 40] {
            let shape = Shape(rows: rows, outputs: 70, inputs: 256, bits: 4, groupSize: 64, scaleType: scaleType)
            let weight = try Self.weight(shape)
            let x = Tensor.random(uniform: [rows, 256], seed: 9, amplitude: 3)
            for isa in ComputeContext.availableISAs {
                var context = try ComputeContext(threads: 2, isa: isa)
                context.activations = .float32
                let left = try DenseLayers.linear(
                    x, [.quantized(QuantizedMatrix(weight, context: context))], context: context)
                let right = try DenseLayers.linear(
                    x, PackedMatrix(weight.dequantized(), context: context), context: context)
                #expect(left.floats().map(\.bitPattern) == right.floats().map(\.bitPattern), "\(isa) \(rows) rows")
            }
        }
    }

    @Test func weightsOneBelowTheOtherAreSideBySide() throws {
        let first = try Self.weight(Shape(rows: 3, outputs: 33, inputs: 64, bits: 4, groupSize: 32))
        let second = Tensor.random(uniform: [20, 64], seed: 3, amplitude: 1)
        let third = try Self.weight(Shape(rows: 3, outputs: 5, inputs: 64, bits: 8, groupSize: 64), seed: 8)
        let bias = Tensor.random(uniform: [58], seed: 4, amplitude: 1)
        for rows in [1, 3, 40] {
            let x = Tensor.random(uniform: [rows, 64], seed: 9, amplitude: 3)
            let context = try ComputeContext(threads: 2)
            let parts: [ProductWeight] = [
                .quantized(QuantizedMatrix(first, context: context)),
                .float(try PackedMatrix(second, context: context)),
                .quantized(QuantizedMatrix(third, context: context)),
            ]
            let all = try DenseLayers.linear(x, parts, bias: bias, context: context).floats()
            var start = 0
            for part in parts {
                let own = try DenseLayers.linear(
                    x, [part], bias: bias.sliced(0, start..<start + part.outputs).contiguous(), context: context
                ).floats()
                for row in 0..<rows {
                    #expect(
                        own[row * part.outputs..<(row + 1) * part.outputs]
                            == all[row * 58 + start..<row * 58 + start + part.outputs])
                }
                start += part.outputs
            }
        }
    }

    @Test func numbersThatAreNoneMakeTheirRowAlone() throws {
        let weight = try Self.weight(Shape(rows: 3, outputs: 40, inputs: 64, bits: 4, groupSize: 32))
        var numbers = Tensor.random(uniform: [16, 64], seed: 9, amplitude: 3).floats()
        numbers[64 + 40] = .nan
        numbers[3 * 64] = .infinity
        for index in 4 * 64..<5 * 64 { numbers[index] = 0x1p-140 }
        let context = try ComputeContext(threads: 2)
        let product = try DenseLayers.linear(
            Tensor(numbers, shape: [16, 64]), [.quantized(QuantizedMatrix(weight, context: context))], context: context
        ).floats()
        for row in 0..<16 {
            let cells = product[row * 40..<(row + 1) * 40]
            #expect(cells.allSatisfy { [1, 3].contains(row) ? $0.isNaN : $0.isFinite }, "row \(row)")
            if row == 4 { #expect(cells.allSatisfy { $0 == 0 }) }
        }
    }
}
