import Foundation
import Kernels
import TensorCore
import Testing

/// The microkernels' functions against Double, for every instruction set of this CPU.
@Suite struct MicrokernelTests {
    static let isas = ComputeContext.availableISAs

    private func context(_ isa: String) throws -> ComputeContext { try ComputeContext(threads: 2, isa: isa) }

    @Test(arguments: isas)
    func exponentialIsWithinTwoUnits(isa: String) throws {
        let table = try context(isa).kernels
        let points = stride(from: Float(-126), through: 0, by: 0.000_913).map { $0 } + [-0.0, -1, -0.5, -125.999]
        let results = table.exp2(points)
        var worst = 0.0
        for (x, y) in zip(points, results) {
            let truth = exp2(Double(x))
            worst = max(worst, abs(Double(y) - truth) / truth * 0x1p23)
        }
        #expect(worst <= 2, "\(worst) units in the last place")
        #expect(table.exp2([0, -.infinity, -200, -1e30]) == [1, 0, 0, 0])
        #expect(table.exp2([.nan])[0].isNaN)
    }

    @Test(arguments: isas)
    func everyHalfIsReadExactly(isa: String) throws {
        let bits = (0...UInt16.max).map { $0 }
        let table = try context(isa).kernels
        for (code, expected) in [
            (Int32(1), bits.map { HalfPrecision.float($0) }), (2, bits.map { Float(bitPattern: UInt32($0) << 16) }),
        ] {
            let ours = table.floats(bits, code: code)
            #expect(zip(ours, expected).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) })
        }
    }

    @Test(arguments: isas, [Activation.gelu, .geluTanh, .relu, .silu])
    func activationsAreRight(isa: String, activation: Activation) throws {
        let numbers = stride(from: Float(-12), through: 12, by: 0.0037).map { $0 } + [-90, 90, 0]
        let x = try Tensor(numbers, shape: [1, numbers.count])
        let ours = try DenseLayers.activation(x, activation, context: context(isa)).floats()
        for (input, output) in zip(numbers, ours) {
            let v = Double(input)
            let truth =
                switch activation {
                case .gelu: 0.5 * v * erfc(-v / 2.0.squareRoot())
                case .geluTanh: 0.5 * v * (1 + tanh((2 / Double.pi).squareRoot() * (v + 0.044715 * v * v * v)))
                case .relu: max(v, 0)
                case .silu: v / (1 + exp(-v))
                }
            #expect(abs(Double(output) - truth) <= 4e-7 * max(1, abs(v)), "\(activation) of \(input)")
        }
    }

    @Test(arguments: isas)
    func linearAgreesWithDouble(isa: String) throws {
        for (rows, inputs, outputs) in [(1, 1, 1), (3, 17, 5), (14, 64, 32), (33, 100, 97), (200, 384, 70)] {
            let x = Tensor.random(uniform: [rows, inputs], seed: 1)
            let weight = Tensor.random(uniform: [outputs, inputs], seed: 2)
            let bias = Tensor.random(uniform: [outputs], seed: 3)
            let context = try context(isa)
            let ours = try DenseLayers.linear(
                x, PackedMatrix(weight, context: context), bias: bias, context: context
            ).doubles()
            let (a, w, b) = (x.doubles(), weight.doubles(), bias.doubles())
            for row in 0..<rows {
                for column in 0..<outputs {
                    let truth = (0..<inputs).reduce(b[column]) { $0 + a[row * inputs + $1] * w[column * inputs + $1] }
                    #expect(abs(ours[row * outputs + column] - truth) <= 3e-6 * Double(inputs).squareRoot())
                }
            }
        }
    }

    @Test(arguments: isas)
    func rowsDoNotDependOnTheirCompany(isa: String) throws {
        let context = try context(isa)
        let weight = try PackedMatrix(.random(uniform: [70, 130], seed: 2), context: context)
        let x = Tensor.random(uniform: [190, 130], seed: 1)
        let whole = try DenseLayers.linear(x, weight, context: context)
        for range in [0..<1, 13..<29, 167..<190] {
            let part = try DenseLayers.linear(x.sliced(0, range).contiguous(), weight, context: context)
            #expect(try part.bitwiseEquals(whole.sliced(0, range).contiguous()))
        }
        let single = try DenseLayers.linear(x, weight, context: ComputeContext(threads: 1, isa: isa))
        #expect(single.bitwiseEquals(whole))
    }

    @Test(arguments: [DType.float16, .bfloat16])
    func weightsInHalfPrecisionAreTheirFloatValues(dtype: DType) throws {
        let context = try ComputeContext()
        let half = Tensor.random(uniform: [40, 50], seed: 2, dtype: dtype)
        let x = Tensor.random(uniform: [9, 50], seed: 1)
        let left = try DenseLayers.linear(x, PackedMatrix(half, context: context), context: context)
        let right = try DenseLayers.linear(
            x, PackedMatrix(half.converted(to: .float32), context: context), context: context)
        #expect(left.bitwiseEquals(right))
    }

    @Test(arguments: isas)
    func layerNormAgreesWithDouble(isa: String) throws {
        let x = Tensor.random(uniform: [5, 101], seed: 1, amplitude: 30)
        let gain = Tensor.random(uniform: [101], seed: 2)
        let bias = Tensor.random(uniform: [101], seed: 3)
        let ours = try DenseLayers.layerNorm(x, gain: gain, bias: bias, epsilon: 1e-5, context: context(isa)).doubles()
        let (a, g, b) = (x.doubles(), gain.doubles(), bias.doubles())
        for row in 0..<5 {
            let values = a[row * 101..<(row + 1) * 101]
            let mean = values.reduce(0, +) / 101
            let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 101
            for column in 0..<101 {
                let truth = (a[row * 101 + column] - mean) / (variance + 1e-5).squareRoot() * g[column] + b[column]
                #expect(abs(ours[row * 101 + column] - truth) <= 2e-6)
            }
        }
    }

    @Test func wrongShapesAreRefused() throws {
        let context = try ComputeContext()
        let weight = try PackedMatrix(Tensor(zeros: [3, 4]), context: context)
        #expect(throws: TensorError.shapeMismatch(from: [2, 5], to: [2, 4])) {
            try DenseLayers.linear(Tensor(zeros: [2, 5]), weight, context: context)
        }
        #expect(throws: TensorError.dtypeMismatch(expected: .float32, actual: .float64)) {
            try DenseLayers.add(Tensor(zeros: [2], dtype: .float64), Tensor(zeros: [2]), context: context)
        }
        #expect(throws: TensorError.dtypeMismatch(expected: .float32, actual: .int8)) {
            try PackedMatrix(Tensor(zeros: [3, 4], dtype: .int8), context: context)
        }
    }

    @Test func peaksAreMeasured() throws {
        let context = try ComputeContext(threads: 1)
        #expect(MachinePeak.fmaGFLOPS(context) > 1)
        #expect(MachinePeak.readGBPerSecond(context) > 0.5)
    }

    /// The NEON table cannot run here; it must at least compile.
    ///
    /// Freestanding, so that no foreign headers are needed.
    @Test func kernelsCompileForArm64() throws {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../Sources/CKernels").standardizedFileURL
        for file in ["scalar.c", "neon.c", "avx2.c", "avx512.c", "avx512vnni.c"] {
            let clang = Process()
            clang.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            clang.arguments = [
                "clang", "--target=aarch64-unknown-linux-gnu", "-ffreestanding", "-std=c17", "-O0", "-Wall", "-Werror",
                "-I\(sources.path)/include", "-I\(sources.path)", "-c", "\(sources.path)/\(file)", "-o", "/dev/null",
            ]
            try clang.run()
            clang.waitUntilExit()
            #expect(clang.terminationStatus == 0, "\(file)")
        }
    }
}

extension KernelTable {
    fileprivate func exp2(_ numbers: [Float]) -> [Float] {
        var result = [Float](repeating: 0, count: numbers.count)
        exp2(&result, numbers, count: numbers.count)
        return result
    }

    fileprivate func floats(_ bits: [UInt16], code: Int32) -> [Float] {
        var result = [Float](repeating: 0, count: bits.count)
        bits.withUnsafeBytes { source in
            if let start = source.baseAddress { toFloat(&result, from: start, code: code, count: bits.count) }
        }
        return result
    }
}
