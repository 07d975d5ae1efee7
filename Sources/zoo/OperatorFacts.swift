import AttentionCore
import AttentionOperators
import TensorCore

/// Everything that is declared about an operator, for `list` and `describe`.
struct OperatorFacts: Encodable {
    let id: String
    let aliases: [String]
    let family: String
    let title: String
    let summary: String
    let paper: String
    let status: String
    let priority: Int
    let exactness: String
    let gradients: Bool
    let workingMemory: String
    let arithmetic: String
    let dtypes: [String]
    let headDims: [Int]
    let features: [String]
    let options: [OptionDescription]

    init(_ name: String, in registry: OperatorRegistry) throws(AttentionError) {
        let entry = try registry.entry(named: name)
        let capabilities = try registry.capabilities(of: name)
        id = entry.id
        aliases = entry.aliases
        family = entry.family
        title = entry.title
        summary = entry.summary
        paper = entry.paper
        status = entry.status
        priority = entry.priority
        exactness = capabilities.exactness.description
        gradients = capabilities.hasGradients
        workingMemory = capabilities.workingMemory
        arithmetic = capabilities.arithmetic
        dtypes = capabilities.dtypes.map(\.rawValue)
        headDims = [capabilities.headDims.lowerBound, capabilities.headDims.upperBound]
        features = capabilities.features.map(\.rawValue).sorted()
        options = try registry.options(of: name)
    }
}
