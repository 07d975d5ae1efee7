import AttentionCore
import CZooPlugin
import TensorCore

/// The parameters that a library declares for a problem, and what is wrong with its declarations.
final class PluginParameters {
    private(set) var parameters: [OperatorParameter] = []
    /// For people; an operator with mistakes runs nothing.
    private(set) var mistakes: [String] = []

    /// What the library calls for each parameter; `context` is this object, unretained.
    static let add: zoo_add_parameter = { context, name, rank, shape, initial, amplitude, summary in
        guard let context else { return }
        let list = Unmanaged<PluginParameters>.fromOpaque(context).takeUnretainedValue()
        guard let name, let name = String(validatingCString: name), !name.isEmpty else {
            list.mistakes.append("a parameter has no name")
            return
        }
        guard let shape, (1...UInt32(ZOO_MAXIMUM_RANK)).contains(rank) else {
            list.mistakes.append("parameter '\(name)' has rank \(rank); expected from 1 to \(ZOO_MAXIMUM_RANK)")
            return
        }
        list.append(
            name, extents: (0..<Int(rank)).map { Int(shape[$0]) }, initial: initial, amplitude: amplitude,
            summary: summary.map { String(cString: $0) } ?? "")
    }

    private func append(_ name: String, extents: [Int], initial: UInt32, amplitude: Float, summary: String) {
        if parameters.contains(where: { $0.name == name }) {
            mistakes.append("two parameters are called '\(name)'")
        } else if extents.contains(where: { $0 < 0 }) {
            mistakes.append("parameter '\(name)' has shape \(extents)")
        } else if let start = Self.initial(initial, amplitude: amplitude, rank: extents.count) {
            parameters.append(OperatorParameter(name, shape: Shape(extents), initial: start, summary: summary))
        } else {
            mistakes.append("parameter '\(name)' of rank \(extents.count) cannot begin by rule \(initial)")
        }
    }

    private static func initial(_ code: UInt32, amplitude: Float, rank: Int) -> OperatorParameter.Initial? {
        switch code {
        case UInt32(ZOO_INITIAL_ZEROS): .zeros
        case UInt32(ZOO_INITIAL_ONES): .ones
        case UInt32(ZOO_INITIAL_UNIFORM): .uniform(amplitude: amplitude)
        case UInt32(ZOO_INITIAL_SEGMENT_MEANS) where rank >= 2: .segmentMeans
        case UInt32(ZOO_INITIAL_IDENTITY) where rank >= 2: .identity
        default: nil
        }
    }
}
