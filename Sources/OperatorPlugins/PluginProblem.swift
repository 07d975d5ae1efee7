import AttentionCore
import CZooPlugin
import TensorCore

/// A problem as C reads it.
///
/// Unchecked: nothing is written after `init`.
final class PluginProblem: @unchecked Sendable {
    let pointer: UnsafePointer<zoo_problem>
    /// Whether the mask is no band, so that the dense mask must hold it.
    let needsDenseMask: Bool
    private let arena = PluginArena()

    /// The side of a band that hides nothing: far beyond every length, and sums with places stay far from overflow.
    private static let unlimited = Int64(1) << 60

    /// Cost: O(batch · size of the mask's expression).
    init(_ problem: AttentionProblem) {
        let geometries = (0..<problem.batch).map { problem.geometry($0) }
        let bands = geometries.map { problem.options.mask.band($0) }
        needsDenseMask = bands.contains(nil)
        let shown = zip(geometries, bands).map { [needsDenseMask] geometry, band in
            needsDenseMask ? KeyBand(keyLength: geometry.keyLength) : band ?? KeyBand(keyLength: 0)
        }
        var result = zoo_problem()
        result.struct_size = UInt32(MemoryLayout<zoo_problem>.size)
        result.dtype = problem.dtype.pluginBit
        result.batch = Int64(problem.batch)
        result.query_length = Int64(problem.queryLength)
        result.key_length = Int64(problem.keyLength)
        result.heads = Int64(problem.heads)
        result.kv_heads = Int64(problem.kvHeads)
        result.head_dim = Int64(problem.headDim)
        result.value_dim = Int64(problem.valueDim)
        result.scale = problem.scale
        result.softcap = problem.options.softcap ?? 0
        let used = problem.features
        result.features = PluginDescription.featureBits.reduce(0) { $0 | (used.contains($1.item) ? $1.bit : 0) }
        if needsDenseMask { result.features |= UInt64(ZOO_FEATURE_DENSE_MASK) }
        result.query_lengths = arena.copy(geometries.map { Int64($0.queryLength) })
        result.key_lengths = arena.copy(geometries.map { Int64($0.keyLength) })
        result.band_low = arena.copy(shown.map { $0.low.map(Int64.init) ?? -Self.unlimited })
        result.band_high = arena.copy(shown.map { $0.high.map(Int64.init) ?? Self.unlimited })
        result.band_end = arena.copy(zip(shown, geometries).map { Int64(min($0.keyLength, $1.keyLength)) })
        pointer = arena.copy(result)
    }
}
