import AttentionCore
import Kernels

/// One worker's scratch memory: that of the tiled operators, and behind it what is kept in bytes.
///
/// Offsets are in floats.
struct SageScratch: Sendable {
    let layout: BlockScratch
    /// Keys of a whole block.
    let keys: Int
    private let groups: Int
    private let headFloats: Int

    init(_ problem: AttentionProblem, sizes: TileSizes, sharing: Bool, context: ComputeContext) {
        layout = BlockScratch(problem, sizes: sizes, sharesHeads: sharing, context: context)
        keys = sizes.keys
        groups = (problem.headDim + 3) / 4
        headFloats = problem.headDim.roundedUp(to: 16)
    }

    // Each region starts on a cache line. Four bytes of a group take one float.
    private var queryBytes: Int { layout.total }
    private var queryScales: Int { queryBytes + (layout.rows * groups).roundedUp(to: 16) }
    private var takenRows: Int { queryScales + layout.rows.roundedUp(to: 16) }
    private var keyBytes: Int { takenRows + layout.rows.roundedUp(to: 64) / 4 }
    private var keyScales: Int { keyBytes + (keys * groups).roundedUp(to: 16) }
    private var corrections: Int { keyScales + keys.roundedUp(to: 16) }
    private var mean: Int { corrections + keys.roundedUp(to: 16) }
    private var valueBytes: Int { mean + headFloats }
    private var valueScales: Int { valueBytes + (keys * layout.outputStride / 4).roundedUp(to: 16) }
    private var middles: Int { valueScales + layout.outputStride.roundedUp(to: 16) }
    var total: Int { middles + layout.outputStride.roundedUp(to: 16) }

    /// The task's queries.
    func queries(_ memory: UnsafeMutablePointer<Float>) -> ByteQueries {
        ByteQueries(
            tiles: memory + layout.queryTiles,
            bytes: bytes(memory, queryBytes, of: UInt8.self, count: 4 * layout.rows * groups),
            scales: memory + queryScales)
    }

    /// One byte for each row: whether it takes the block in bytes.
    func takes(_ memory: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<UInt8> {
        bytes(memory, takenRows, of: UInt8.self, count: layout.rows)
    }

    /// The block's keys.
    func byteKeys(_ memory: UnsafeMutablePointer<Float>) -> ByteKeys {
        ByteKeys(
            bytes: bytes(memory, keyBytes, of: Int8.self, count: 4 * keys * groups), scales: memory + keyScales,
            corrections: bytes(memory, corrections, of: Int32.self, count: keys), mean: memory + mean)
    }

    /// The block's values.
    func byteValues(_ memory: UnsafeMutablePointer<Float>) -> ByteValues {
        ByteValues(
            bytes: bytes(memory, valueBytes, of: Int8.self, count: keys * layout.outputStride),
            scales: memory + valueScales, middles: memory + middles)
    }

    private func bytes<Number>(
        _ memory: UnsafeMutablePointer<Float>, _ offset: Int, of type: Number.Type, count: Int
    ) -> UnsafeMutablePointer<Number> {
        UnsafeMutableRawPointer(memory + offset).bindMemory(to: type, capacity: count)
    }
}
