import AttentionCore
import Kernels
import TensorCore

/// The two convolutions and the product of large kernel attention, on one grid.
struct LargeKernel {
    let depthwise: DepthwiseConvolution
    let dilated: DepthwiseConvolution
    let parameters: [String: Tensor]

    init(_ shape: [Int], channels: Int, parameters: [String: Tensor]) {
        depthwise = DepthwiseConvolution(
            rows: shape[0], columns: shape[1], channels: channels, side: 5, dilation: 1)
        dilated = DepthwiseConvolution(rows: shape[0], columns: shape[1], channels: channels, side: 7, dilation: 3)
        self.parameters = parameters
    }

    var positions: Int { depthwise.rows * depthwise.columns }
    private var channels: Int { depthwise.channels }

    /// A parameter that the operator has checked to be there.
    func parameter(_ name: String) -> Tensor { parameters[name] ?? Tensor(zeros: [0]) }

    /// The declarations, in order.
    static func declarations(channels: Int) -> [OperatorParameter] {
        // Uniform from ±1 / sqrt(numbers summed), PyTorch's default for convolutions; biases begin at zero.
        let projection = 1 / Float(max(1, channels)).squareRoot()
        return [
            OperatorParameter(
                "depthwise", shape: [channels, 5, 5], initial: .uniform(amplitude: 1 / 5),
                summary: "kernel of each channel, 5 x 5"),
            OperatorParameter("depthwise-bias", shape: [channels], initial: .zeros, summary: "added after it"),
            OperatorParameter(
                "dilated", shape: [channels, 7, 7], initial: .uniform(amplitude: 1 / 7),
                summary: "kernel of each channel, 7 x 7 with gaps of 3"),
            OperatorParameter("dilated-bias", shape: [channels], initial: .zeros, summary: "added after it"),
            OperatorParameter(
                "pointwise", shape: [channels, channels], initial: .uniform(amplitude: projection),
                summary: "channels to channels, [out, in]"),
            OperatorParameter("pointwise-bias", shape: [channels], initial: .zeros, summary: "added after it"),
        ]
    }

    /// What the forward pass makes on the way: both convolutions' results, and the attention map.
    struct Stages {
        let first: Tensor
        let second: Tensor
        let attention: Tensor
    }

    /// `attention = pointwise(dilated(depthwise(x)))`, each `[positions, channels]`.
    func stages(_ x: Tensor, context: ComputeContext) throws(TensorError) -> Stages {
        let first = Tensor(zeros: [positions, channels])
        depthwise.run(
            x.freshFloats, taps: depthwise.taps(parameter("depthwise")), bias: parameter("depthwise-bias"),
            to: first.freshFloats, context: context)
        let second = Tensor(zeros: [positions, channels])
        dilated.run(
            first.freshFloats, taps: dilated.taps(parameter("dilated")), bias: parameter("dilated-bias"),
            to: second.freshFloats, context: context)
        let weights = try PackedMatrix(parameter("pointwise").converted(to: .float32), context: context)
        let attention = try DenseLayers.linear(
            second, weights, bias: parameter("pointwise-bias").converted(to: .float32), context: context)
        return Stages(first: first, second: second, attention: attention)
    }

    /// Adds one sequence's derivatives by the parameters to `sums`, and returns the one by the input.
    ///
    /// With `g` the attention map: `dg = dy x`, `dx = dy g + depthwiseᵀ(dilatedᵀ(dg pointwise))`.
    func backward(
        _ x: Tensor, _ gradient: Tensor, sums: Sums, context: ComputeContext
    ) throws(TensorError) -> Tensor {
        let stages = try stages(x, context: context)
        let count = positions * channels
        let byAttention = Tensor(zeros: [positions, channels])
        let byInput = Tensor(zeros: [positions, channels])
        context.kernels.multiplyAdd(byAttention.freshFloats, gradient.freshFloats, x.freshFloats, count: count)
        context.kernels.multiplyAdd(
            byInput.freshFloats, gradient.freshFloats, stages.attention.freshFloats, count: count)
        let projection = parameter("pointwise").converted(to: .float32)
        let bySecond = try DenseLayers.linear(
            byAttention, PackedMatrix(projection.permuted([1, 0]), context: context), context: context)
        let byFirst = Tensor(zeros: [positions, channels])
        dilated.run(
            bySecond.freshFloats, taps: dilated.taps(parameter("dilated"), isMirrored: true), bias: nil,
            to: byFirst.freshFloats, context: context)
        let byDepthwise = Tensor(zeros: [positions, channels])
        depthwise.run(
            byFirst.freshFloats, taps: depthwise.taps(parameter("depthwise"), isMirrored: true), bias: nil,
            to: byDepthwise.freshFloats, context: context)
        context.kernels.scaledAdd(byInput.freshFloats, byDepthwise.freshFloats, by: 1, count: count)
        // Some positions at a time: one long chain of additions would lose digits.
        for start in stride(from: 0, to: positions, by: 128) {
            let part = start..<min(positions, start + 128)
            let product = try DenseLayers.linear(
                byAttention.sliced(0, part).permuted([1, 0]).contiguous(),
                PackedMatrix(stages.second.sliced(0, part).permuted([1, 0]), context: context), context: context)
            sums.add(product, to: "pointwise", rows: 1, context)
        }
        sums.add(byAttention, to: "pointwise-bias", rows: positions, context)
        sums.add(bySecond, to: "dilated-bias", rows: positions, context)
        sums.add(byFirst, to: "depthwise-bias", rows: positions, context)
        dilated.addWeightGradient(
            stages.first.freshFloats, bySecond.freshFloats, to: sums["dilated"].freshFloats, context: context)
        depthwise.addWeightGradient(
            x.freshFloats, byFirst.freshFloats, to: sums["depthwise"].freshFloats, context: context)
        withExtendedLifetime((stages, byAttention, bySecond, byFirst, byDepthwise, x, gradient)) {}
        return byInput
    }

    /// Sums over the sequences of the derivatives by the parameters; kernels tap by tap.
    struct Sums {
        private let tensors: [String: Tensor]
        private let channels: Int

        init(channels: Int) {
            self.channels = channels
            tensors = LargeKernel.declarations(channels: channels).reduce(into: [:]) {
                $0[$1.name] = Tensor(zeros: [$1.shape.count])
            }
        }

        subscript(name: String) -> Tensor { tensors[name] ?? Tensor(zeros: [0]) }

        /// Adds rows of a matrix, one after the other.
        func add(_ matrix: Tensor, to name: String, rows: Int, _ context: ComputeContext) {
            let target = self[name]
            for row in 0..<rows {
                context.kernels.scaledAdd(
                    target.freshFloats, matrix.freshFloats + row * target.count, by: 1, count: target.count)
            }
            withExtendedLifetime((matrix, target)) {}
        }

        /// Each in the shape of its parameter.
        func shaped() throws(TensorError) -> [String: Tensor] {
            var result: [String: Tensor] = [:]
            for parameter in LargeKernel.declarations(channels: channels) {
                let sum = self[parameter.name]
                guard parameter.shape.rank == 3 else {
                    result[parameter.name] = try sum.reshaped(parameter.shape)
                    continue
                }
                let taps = parameter.shape[1] * parameter.shape[2]
                result[parameter.name] = try sum.reshaped([taps, channels]).permuted([1, 0]).contiguous()
                    .reshaped(parameter.shape)
            }
            return result
        }
    }
}

/// The same in any arithmetic; products on OpenBLAS.
struct PlainLargeKernel<Number: MixingNumber> {
    let depthwise: PlainConvolution<Number>
    let dilated: PlainConvolution<Number>
    let pointwise: PlainMatrix<Number>
    let pointwiseBias: [Number]

    init(_ kernel: LargeKernel) {
        func numbers(_ name: String) -> [Number] { Number.elements(of: kernel.parameter(name)) }
        depthwise = PlainConvolution(
            shape: kernel.depthwise, weights: numbers("depthwise"), bias: numbers("depthwise-bias"))
        dilated = PlainConvolution(shape: kernel.dilated, weights: numbers("dilated"), bias: numbers("dilated-bias"))
        let channels = kernel.depthwise.channels
        pointwise = PlainMatrix(rows: channels, columns: channels, cells: numbers("pointwise"))
        pointwiseBias = numbers("pointwise-bias")
    }

    private func attention(_ second: PlainMatrix<Number>) -> PlainMatrix<Number> {
        var result = PlainMatrix<Number>(rows: second.rows, columns: second.columns) { pointwiseBias[$1] }
        result.add(second, pointwise.transposed)
        return result
    }

    func forward(_ x: PlainMatrix<Number>) -> PlainMatrix<Number> {
        var result = attention(dilated.run(depthwise.run(x)))
        for cell in result.cells.indices { result.cells[cell] *= x.cells[cell] }
        return result
    }

    /// The derivative by the input; those by the parameters are added to `sums`.
    func backward(
        _ x: PlainMatrix<Number>, _ gradient: PlainMatrix<Number>, _ sums: inout [String: [Number]]
    ) -> PlainMatrix<Number> {
        let first = depthwise.run(x)
        let second = dilated.run(first)
        let attention = attention(second)
        var byAttention = gradient
        var byInput = gradient
        for cell in x.cells.indices {
            byAttention.cells[cell] *= x.cells[cell]
            byInput.cells[cell] *= attention.cells[cell]
        }
        var byPointwiseBias = [Number](repeating: 0, count: x.columns)
        for row in 0..<x.rows { for c in 0..<x.columns { byPointwiseBias[c] += byAttention[row, c] } }
        let byDilated = dilated.backward(first, byAttention.times(pointwise))
        let byDepthwise = depthwise.backward(x, byDilated.input)
        for cell in x.cells.indices { byInput.cells[cell] += byDepthwise.input.cells[cell] }
        func add(_ name: String, _ numbers: [Number]) {
            sums[name] = sums[name].map { zip($0, numbers).map { $0 + $1 } } ?? numbers
        }
        add("pointwise", byAttention.transposed.times(second).cells)
        add("pointwise-bias", byPointwiseBias)
        add("dilated", byDilated.weights)
        add("dilated-bias", byDilated.bias)
        add("depthwise", byDepthwise.weights)
        add("depthwise-bias", byDepthwise.bias)
        return byInput
    }
}
