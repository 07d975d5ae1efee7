import Kernels
import TensorCore
import Testing

/// Products of bytes, for every instruction set of this CPU, against sums of integers.
@Suite struct ByteProductTests {
    static let isas = ComputeContext.availableISAs

    /// The largest products are among them: they must not saturate.
    @Test(arguments: isas, [0, 1, 2, 16, 33])
    func sumsOfProductsAreExact(isa: String, groups: Int) throws {
        let table = try ComputeContext(threads: 1, isa: isa).kernels
        let width = table.panelWidth
        for extreme in [false, true] {
            let row: [UInt8] = (0..<4 * groups).map { extreme ? 255 : UInt8(($0 * 89 + 13) % 256) }
            let panel: [Int8] = (0..<4 * groups * width).map { cell in
                if extreme { return cell / 4 % 2 == 0 ? -128 : 127 }
                return Int8((cell * 151 + 7) % 256 - 128)
            }
            var sums = [Int32](repeating: -1, count: width)
            table.dotBytes(&sums, row: row, panel: panel, groups: groups)
            for column in 0..<width {
                var expected: Int32 = 0
                for i in 0..<4 * groups {
                    let cell = (i / 4 * width + column) * 4 + i % 4
                    expected += Int32(row[i]) * Int32(panel[cell])
                }
                #expect(sums[column] == expected, "column \(column)")
            }
        }
    }

    /// The instruction set changes how bytes are multiplied and nothing else.
    @Test func tablesOfOneVectorLengthAgree() throws {
        guard ComputeContext.availableISAs.contains("avx512vnni") else { return }
        let points = stride(from: Float(-30), through: 0, by: 0.01).map { $0 }
        let results = try ["avx512", "avx512vnni"].map { isa in
            var result = [Float](repeating: 0, count: points.count)
            try ComputeContext(threads: 1, isa: isa).kernels.exp2(&result, points, count: points.count)
            return result
        }
        #expect(results[0] == results[1])
    }
}
