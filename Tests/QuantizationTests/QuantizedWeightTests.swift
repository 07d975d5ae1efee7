import Kernels
import TensorCore
import Testing

@Suite struct QuantizedWeightTests {
    @Test func weightsAreScaledDifferences() throws {
        let weight = try QuantizedWeight(
            outputs: 2, inputs: 3, bits: 4, groupSize: 2, codes: [0, 15, 3, 8, 9, 7], scales: [0.5, 2, 1, 0.25],
            scaleType: .float32, zeros: [1, 3, 8, 9], groupIndex: [1, 0, 0])
        #expect(weight.dequantized().floats() == [-6, 7, 1, -0.25, 1, -1])
    }

    @Test func partsThatDoNotFitAreNamed() {
        #expect(throws: QuantizedWeightError(part: "codes", expected: "below 4 for 2 bits", actual: "4")) {
            try QuantizedWeight(
                outputs: 1, inputs: 2, bits: 2, groupSize: 2, codes: [4, 0], scales: [1], scaleType: .float32)
        }
        #expect(
            throws: QuantizedWeightError(part: "groupIndex", expected: "from 0 to below 1 groups", actual: "1")
        ) {
            try QuantizedWeight(
                outputs: 1, inputs: 2, bits: 2, groupSize: 2, codes: [1, 0], scales: [1], scaleType: .float32,
                groupIndex: [0, 1])
        }
    }
}
