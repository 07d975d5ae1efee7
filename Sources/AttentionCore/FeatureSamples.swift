import TensorCore

extension AttentionFeature {
    /// A usual problem that asks for the feature, made from one that an operator takes; `nil` for what is no part of a
    /// problem.
    func sample(from plain: AttentionProblem) -> AttentionProblem? {
        var result = plain
        let length = plain.queryLength
        func joined(_ mask: AttentionMask?) -> AttentionProblem? {
            guard let mask else { return nil }
            result.options.mask = plain.options.mask == .full ? mask : .and([plain.options.mask, mask])
            return result
        }
        let scores = Shape([1, plain.heads, length, length])
        switch self {
        case .dtype, .headDim, .configuration, .gradients, .memory, .logSumExp: return nil
        case .valueDim: result.valueDim = 2 * plain.headDim
        case .groupedQuery: result.kvHeads = max(1, plain.heads / 2)
        case .crossLength: result.keyLength = length + 64
        case .causal: return joined(.causal)
        case .window: return joined(.window(left: 128, right: 128))
        case .maskAlgebra: return joined(.or([.causal, .prefix(length: 16)]))
        case .documents: return joined((try? DocumentMask(lengths: [length / 2, length / 2])).map { .documents($0) })
        case .treeMask: return joined((try? TreeMask(parents: [-1, 0, 0, 1])).map { .tree($0) })
        case .blockLayout, .maskFunction, .scoreFunction: return nil
        case .denseMask: result.maskShape = scores
        case .bias: result.biasShape = scores
        case .keyLengths: result.keyLengths = [length - 1]
        case .queryLengths: result.queryLengths = [length - 1]
        case .softcap: result.options.softcap = 30
        case .alibi: result.hasALiBi = true
        case .sinks: result.hasSinks = true
        case .int8Keys: result.hasInt8Keys = true
        case .pages:
            result.pages = PageLayout(pages: (plain.batch * plain.keyLength + 15) / 16, pageSize: 16)
            result.keyLengths = [Int](repeating: plain.keyLength, count: plain.batch)
        case .dropout: result.options.dropout = 0.1
        }
        return result
    }
}
