import Foundation
import Kernels
import TensorCore

extension RotaryEmbedding {
    /// Cosines and sines for tokens at the given places.
    ///
    /// Frequencies and angles are rounded to Float as in the implementations that models are trained with: at a place of
    /// a hundred thousand that rounding is larger than anything else here.
    ///
    /// Cost: O(places · dimension).
    func angles(_ positions: [Int], headDim: Int) -> RotaryAngles {
        let dimension = dimension ?? headDim
        let pairs = dimension / 2
        let shape: Shape = [positions.count, pairs]
        let cosine = Tensor(unwritten: shape)
        let sine = Tensor(unwritten: shape)
        let cosines = cosine.freshMutableAddress.assumingMemoryBound(to: Float.self)
        let sines = sine.freshMutableAddress.assumingMemoryBound(to: Float.self)
        let common = frequencies(dimension)
        let factor = Float(magnitude)
        for (row, position) in positions.enumerated() {
            let frequencies = grown(at: position, dimension) ?? common
            for pair in 0..<pairs {
                let angle = Double(Float(position) * frequencies[pair])
                cosines[row * pairs + pair] = Float(cos(angle)) * factor
                sines[row * pairs + pair] = Float(sin(angle)) * factor
            }
        }
        return RotaryAngles(cosine: cosine, sine: sine, isInterleaved: layout == .interleaved)
    }

    /// What queries and keys are multiplied by.
    private var magnitude: Double {
        guard case .yarn(let yarn) = scaling else { return 1 }
        return yarn.attentionFactor ?? (yarn.factor <= 1 ? 1 : 0.1 * log(yarn.factor) + 1)
    }

    /// `base^(-2i / dimension)`.
    private static func plain(_ base: Double, _ dimension: Int) -> [Float] {
        (0..<dimension / 2).map { 1 / Float(pow(Double(Float(base)), Double(Float(2 * $0) / Float(dimension)))) }
    }

    /// The frequency of every pair, as far as it is the same at every place.
    private func frequencies(_ dimension: Int) -> [Float] {
        let plain = Self.plain(theta, dimension)
        switch scaling {
        case .none, .dynamic: return plain
        case .linear(let factor): return plain.map { $0 / Float(factor) }
        case .llama3(let factor, let low, let high, let length):
            return plain.map { frequency in
                let wavelength = 2 * Double.pi / Double(frequency)
                if wavelength < Double(length) / high { return frequency }
                if wavelength > Double(length) / low { return frequency / Float(factor) }
                let smooth = Float((Double(length) / wavelength - low) / (high - low))
                return (1 - smooth) * frequency / Float(factor) + smooth * frequency
            }
        case .yarn(let yarn):
            // The pair that turns so often within the original length.
            func pair(turning turns: Double) -> Double {
                Double(dimension) * log(Double(yarn.originalLength) / (turns * 2 * .pi)) / (2 * log(theta))
            }
            var low = pair(turning: yarn.betaFast)
            var high = pair(turning: yarn.betaSlow)
            if yarn.truncate { (low, high) = (low.rounded(.down), high.rounded(.up)) }
            low = max(low, 0)
            high = min(high, Double(dimension - 1))
            // A ramp needs some width.
            if low == high { high += 0.001 }
            return plain.enumerated().map { index, frequency in
                let ramp = Float(min(1, max(0, (Double(index) - low) / (high - low))))
                return frequency / Float(yarn.factor) * ramp + frequency * (1 - ramp)
            }
        }
    }

    /// The frequencies at a place where they have grown, or `nil`.
    private func grown(at position: Int, _ dimension: Int) -> [Float]? {
        guard case .dynamic(let factor, let length) = scaling, position >= length else { return nil }
        let growth = factor * Double(position + 1) / Double(length) - (factor - 1)
        return Self.plain(theta * pow(growth, Double(dimension) / Double(dimension - 2)), dimension)
    }
}

/// The angles of a pass, made once for all layers that turn alike.
struct RotaryTables {
    private struct Key: Hashable {
        let rotary: RotaryEmbedding
        let headDim: Int
    }

    private var tables: [Key: RotaryAngles] = [:]

    /// Angles for every kind of rotation that attention layers have.
    init(_ kinds: [(rotary: RotaryEmbedding, headDim: Int)], _ batch: RaggedBatch) {
        guard !kinds.isEmpty else { return }
        let positions = batch.positions
        for kind in kinds where tables[Key(rotary: kind.rotary, headDim: kind.headDim)] == nil {
            tables[Key(rotary: kind.rotary, headDim: kind.headDim)] = kind.rotary.angles(
                positions, headDim: kind.headDim)
        }
    }

    subscript(rotary: RotaryEmbedding, headDim: Int) -> RotaryAngles? {
        tables[Key(rotary: rotary, headDim: headDim)]
    }
}
