public import Quantization

/// How the weights of a model are put into whole numbers.
public enum QuantizationMethod: Sendable {
    /// Every weight to the nearest number, without a look at what the model does.
    case roundToNearest
    /// GPTQ, column after column.
    ///
    /// With `isSequential` each step of a block sees what comes out of the quantised steps before it; without, the whole
    /// block sees what the Float steps make.
    case gptq(GPTQ, isSequential: Bool)
    /// AWQ: inputs that matter are scaled up before rounding; with `clips` the largest weights are cut where that helps.
    case awq(AWQ, clips: Bool)

    /// The name: rtn, gptq or awq.
    public var name: String {
        switch self {
        case .roundToNearest: "rtn"
        case .gptq: "gptq"
        case .awq: "awq"
        }
    }

    /// Whether it must see what goes into the products.
    public var needsCalibration: Bool {
        if case .roundToNearest = self { false } else { true }
    }

    /// Whether a step of a block sees what comes out of the quantised steps before it.
    var isSequential: Bool {
        if case .gptq(_, let isSequential) = self { isSequential } else { true }
    }
}
