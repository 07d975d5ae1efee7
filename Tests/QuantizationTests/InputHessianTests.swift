import Kernels
import Quantization
import TensorCore
import Testing

@Suite struct InputHessianTests {
    @Test func productsAreSummedAndScaled() throws {
        let context = try ComputeContext(threads: 2)
        // More inputs than a panel has, more rows than a product, in uneven parts.
        let (rows, inputs) = (1300, 150)
        let x = try Operands.activations(rows, inputs)
        var hessian = InputHessian(inputs: inputs)
        for part in [0..<1100, 1100..<1100, 1100..<1101, 1101..<1300] {
            try hessian.add(x.sliced(0, part), context: context)
        }
        #expect(hessian.count == rows)
        let values = x.doubles()
        let matrix = hessian.matrix().doubles()
        for row in stride(from: 0, to: inputs, by: 7) {
            for column in 0..<inputs {
                var (sum, size) = (0.0, 0.0)
                for sample in 0..<rows {
                    let product = values[sample * inputs + row] * values[sample * inputs + column]
                    sum += product
                    size += abs(product)
                }
                #expect(abs(matrix[row * inputs + column] - sum * 2 / Double(rows)) <= 1e-5 * size / Double(rows))
                #expect(matrix[row * inputs + column] == matrix[column * inputs + row])
            }
        }
    }

    @Test func theObjectiveIsTheOutputError() throws {
        let context = try ComputeContext(threads: 1)
        let (x, weight) = (try Operands.activations(50, 24), Operands.weight(7, 24))
        var hessian = InputHessian(inputs: 24)
        try hessian.add(x, context: context)
        let other = try RoundToNearest.quantize(weight, QuantizationScheme(bits: 2, groupSize: nil)).dequantized()
        let (one, two) = (try Operands.product(x, weight).doubles(), try Operands.product(x, other).doubles())
        let error = zip(one, two).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let objective = try hessian.objective(weight, other)
        #expect(abs(objective - error * 2 / 50) < 1e-5 * objective)
        #expect(try hessian.objective(weight, weight) == 0)
    }

    /// More outputs than a task has: threads change no bit.
    @Test func theObjectiveIsTheSameOnAnyThreads() throws {
        let hessian = try Operands.hessian(20)
        let weight = Operands.weight(300, 20)
        let other = try RoundToNearest.quantize(weight, QuantizationScheme(bits: 3, groupSize: nil)).dequantized()
        let alone = try hessian.objective(weight, other)
        let (matrix, one, two) = (hessian.matrix().doubles(), weight.doubles(), other.doubles())
        var expected = 0.0
        for output in 0..<300 {
            let difference = (0..<20).map { one[output * 20 + $0] - two[output * 20 + $0] }
            for row in 0..<20 {
                for column in 0..<20 { expected += difference[row] * matrix[row * 20 + column] * difference[column] }
            }
        }
        #expect(abs(alone - expected) <= 1e-10 * expected)
        for threads in [1, 2] {
            #expect(try hessian.objective(weight, other, context: ComputeContext(threads: threads)) == alone)
        }
    }

    @Test func factorsOfInputsScaleTheHessian() throws {
        let context = try ComputeContext(threads: 1)
        let x = try Operands.activations(40, 24)
        let factors = (0..<24).map { Float($0 % 5 + 1) / 3 - 1 }
        var plain = InputHessian(inputs: 24)
        try plain.add(x, context: context)
        var scaled = InputHessian(inputs: 24)
        try scaled.add(AWQ.multiply(factors.map { abs($0) + 0.1 }, intoColumns: x), context: context)
        let result = try plain.scalingInputs(factors.map { abs($0) + 0.1 })
        #expect(result.count == 40)
        let largest = scaled.matrix().doubles().reduce(0) { max($0, abs($1)) }
        #expect(try result.matrix().maxAbsoluteDifference(scaled.matrix()) <= 1e-6 * largest)
        // Each pair has the product of its own factors, signs and zeros included.
        let (before, after) = (plain.matrix().doubles(), try plain.scalingInputs(factors).matrix().doubles())
        for place in before.indices {
            let expected = before[place] * Double(factors[place / 24]) * Double(factors[place % 24])
            #expect(abs(after[place] - expected) <= 1e-12 * abs(before[place]))
        }
        #expect(throws: QuantizationError.self) { try plain.scalingInputs([1]) }
        #expect(throws: QuantizationError.self) {
            try plain.scalingInputs([Float.nan] + [Float](repeating: 1, count: 23))
        }
    }

    @Test(arguments: [0, 1, 3, 65_536, 65_537, 200_003])
    func distancesAreSumsOfSquares(_ count: Int) throws {
        let (one, two) = (Tensor.random(uniform: [count], seed: 1), Tensor.random(uniform: [count], seed: 2))
        let distance = zip(one.doubles(), two.doubles()).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let norm = one.doubles().reduce(0) { $0 + $1 * $1 }
        #expect(abs(one.squaredDistance(to: two) - distance) <= 1e-11 * distance)
        #expect(abs(one.squaredNorm() - norm) <= 1e-11 * norm)
        let context = try ComputeContext(threads: 2)
        #expect(one.squaredDistance(to: two, context: context) == one.squaredDistance(to: two))
        #expect(one.squaredNorm(context: context) == one.squaredNorm())
    }

    @Test func matricesComeBack() throws {
        let matrix = try Operands.hessian(20).matrix()
        let again = try InputHessian(matrix: matrix, count: 3).matrix()
        #expect(try matrix.maxAbsoluteDifference(again) <= 1e-12 * (matrix.doubles().max() ?? 0))
    }

    @Test func whatCannotBeTakenInIsNamed() throws {
        let context = try ComputeContext(threads: 1)
        var hessian = InputHessian(inputs: 4)
        func field(_ rows: Tensor) -> String? {
            do throws(QuantizationError) {
                try hessian.add(rows, context: context)
                return nil
            } catch {
                return error.field
            }
        }
        #expect(field(Tensor(zeros: [2, 5])) == "activations")
        #expect(field(Tensor(zeros: [4])) == "activations")
        #expect(field(Tensor(zeros: [2, 4], dtype: .float64)) == "activations")
        for bad in [Float.nan, .infinity, 1e19] {
            #expect(field(try Tensor([bad, 0, 0, 0], shape: [1, 4])) == "activations")
        }
        #expect(hessian.count == 0)
        #expect(hessian.matrix().doubles().allSatisfy { $0 == 0 })
        func matrixField(_ matrix: Tensor, _ count: Int = 1) -> String? {
            do throws(QuantizationError) {
                _ = try InputHessian(matrix: matrix, count: count)
                return nil
            } catch {
                return error.field
            }
        }
        #expect(matrixField(Tensor(zeros: [2, 3])) == "matrix")
        #expect(matrixField(Tensor(zeros: [2, 2], dtype: .int8)) == "matrix")
        #expect(matrixField(try Tensor([Float.nan], shape: [1, 1])) == "matrix")
        #expect(matrixField(Tensor(zeros: [2, 2]), 0) == "count")
        let other = try Operands.identity(4)
        #expect(throws: QuantizationError.self) {
            try other.objective(Tensor(zeros: [2, 4]), Tensor(zeros: [3, 4]))
        }
        #expect(throws: QuantizationError.self) {
            try other.objective(Tensor(zeros: [2, 3]), Tensor(zeros: [2, 3]))
        }
    }
}
