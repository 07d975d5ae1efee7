import Kernels
import Quantization
import TensorCore
import Testing

/// Random weights over shapes that fill no round number of anything but what a layout demands.
@Suite struct CheckpointRoundTripTests {
    struct Layout: Sendable, CustomTestStringConvertible {
        let method: QuantizationConfiguration.Method
        let bits: Int
        let shapes: [(outputs: Int, inputs: Int, groupSize: Int?)]

        var testDescription: String { "\(method.name), \(bits) bits" }
    }

    static let layouts: [Layout] =
        [2, 3, 4, 8].flatMap { bits in
            [
                Layout(
                    method: .gptq(isVersion2: false), bits: bits,
                    shapes: [(32, 32, nil), (96, 160, 32), (160, 96, 8), (64, 416, 13)]),
                Layout(
                    method: .gptq(isVersion2: true), bits: bits,
                    shapes: [(32, 32, nil), (96, 160, 32), (160, 96, 8), (64, 416, 13)]),
                Layout(
                    method: .compressedTensors, bits: bits,
                    shapes: [(1, 1, nil), (7, 33, nil), (19, 45, 9), (33, 130, 65), (5, 64, 32)]),
            ]
        } + [Layout(method: .awqGEMM, bits: 4, shapes: [(8, 1, nil), (40, 35, 7), (136, 130, 65), (64, 96, 32)])]

    @Test(arguments: layouts) func whatIsWrittenIsReadAgain(_ layout: Layout) throws {
        var random = Sequence(state: UInt64(layout.bits))
        for (outputs, inputs, groupSize) in layout.shapes {
            for isOrdered in [false, true] {
                if isOrdered, case .gptq = layout.method {} else if isOrdered { continue }
                for scaleType in [DType.float16, .bfloat16, .float32] {
                    let size = groupSize ?? inputs
                    let groups = inputs / size
                    let smallest = layout.method == .gptq(isVersion2: false) ? 1 : 0
                    let weight = try QuantizedWeight(
                        outputs: outputs, inputs: inputs, bits: layout.bits, groupSize: size,
                        codes: (0..<(outputs * inputs)).map { _ in UInt8(random.next(1 << layout.bits)) },
                        scales: (0..<(outputs * groups)).map { _ in Float(1 + random.next(127)) / 128 },
                        scaleType: scaleType,
                        zeros: (0..<(outputs * groups)).map { _ in
                            Int16(smallest + random.next(1 << layout.bits - smallest))
                        },
                        groupIndex: isOrdered
                            ? (0..<inputs).map { _ in Int32(random.next(groups)) } : nil)
                    let configuration = QuantizationConfiguration(
                        method: layout.method, bits: layout.bits, groupSize: groupSize, isSymmetric: false,
                        isActOrdered: isOrdered)
                    let tensors = try CheckpointFormat.write(weight, module: "m", configuration: configuration)
                    // Through a file, and the configuration through its text.
                    let file = try SafetensorsFile(
                        bytes: SafetensorsFile.bytes(tensors.map { ($0.key, $0.value) }))
                    let text = try configuration.json()
                    let again = try #require(try QuantizationConfiguration(json: text.utf8))
                    let read = try CheckpointFormat.read(
                        module: "m", outputs: outputs, inputs: inputs, configuration: again
                    ) { file[$0] }
                    // A random order may be the inputs' own, and random zeros the middle: then they come as nil.
                    let isTrivial = weight.groupIndex?.enumerated().allSatisfy { $1 == Int32($0 / size) } ?? true
                    let isMiddle = weight.zeros?.allSatisfy { $0 == 1 << (layout.bits - 1) } ?? true
                    var expected = weight
                    if isTrivial { expected.groupIndex = nil }
                    if isMiddle { expected.zeros = nil }
                    #expect(read == expected)
                }
            }
        }
    }

    /// Numbers that are the same in every run (Knuth's constants).
    struct Sequence {
        var state: UInt64

        mutating func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
    }
}
