import Foundation
import TensorCore
import TransformerBlocks

/// `Support.languageModel` in Double, written from the definitions and slow on purpose.
struct PlainModel {
    let tensors: [String: [Double]]
    let width = 16

    init(_ model: ModelDescription, weights: any WeightSource) {
        var tensors: [String: [Double]] = [:]
        for parameter in model.parameters { tensors[parameter.name] = weights.tensor(for: parameter)?.doubles() }
        self.tensors = tensors
    }

    private typealias Rows = [[Double]]

    private func get(_ name: String) -> [Double] { tensors["layers." + name] ?? [] }

    private func linear(_ rows: Rows, _ name: String) -> Rows {
        let weight = get(name + ".weight")
        let bias = get(name + ".bias")
        return rows.map { row in
            bias.indices.map { output in
                bias[output] + row.indices.reduce(0) { $0 + row[$1] * weight[output * row.count + $1] }
            }
        }
    }

    private func norm(_ rows: Rows, _ name: String) -> Rows {
        let gain = get(name + ".weight")
        let bias = get(name + ".bias")
        return rows.map { row in
            let mean = row.reduce(0, +) / Double(row.count)
            let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
            return row.indices.map { (row[$0] - mean) / (variance + 1e-5).squareRoot() * gain[$0] + bias[$0] }
        }
    }

    private func attention(_ rows: Rows, _ name: String, heads: Int, kvHeads: Int) -> Rows {
        let headDim = width / heads
        let query = linear(rows, name + ".query")
        let key = linear(rows, name + ".key")
        let value = linear(rows, name + ".value")
        let mixed = rows.indices.map { i -> [Double] in
            (0..<heads).flatMap { head -> [Double] in
                let shared = head / (heads / kvHeads) * headDim
                let scores = (0...i).map { j in
                    (0..<headDim).reduce(0) { $0 + query[i][head * headDim + $1] * key[j][shared + $1] }
                        / Double(headDim).squareRoot()
                }
                let weights = scores.map { exp($0 - (scores.max() ?? 0)) }
                let total = weights.reduce(0, +)
                return (0..<headDim).map { d in
                    weights.indices.reduce(0) { $0 + weights[$1] / total * value[$1][shared + d] }
                }
            }
        }
        return linear(mixed, name + ".output")
    }

    func logits(_ ids: [Int], heads: Int, kvHeads: Int) -> [Double] {
        let table = get("0.weight")
        let places = get("1.weight")
        var rows = ids.enumerated().map { place, id in
            (0..<width).map { table[id * width + $0] + places[place * width + $0] }
        }
        func add(_ change: Rows) { rows = zip(rows, change).map { zip($0, $1).map(+) } }
        for block in 0..<2 {
            let first = 2 + 2 * block
            add(attention(norm(rows, "\(first).0"), "\(first).1", heads: heads, kvHeads: kvHeads))
            let hidden = linear(norm(rows, "\(first + 1).0"), "\(first + 1).1.up")
            let active = hidden.map { $0.map { $0 * 0.5 * erfc(-$0 / 2.0.squareRoot()) } }
            add(linear(active, "\(first + 1).1.down"))
        }
        return norm(rows, "6").flatMap { row in
            (0..<table.count / width).map { token in
                row.indices.reduce(0) { $0 + row[$1] * table[token * width + $1] }
            }
        }
    }
}
