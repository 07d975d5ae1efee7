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
    /// What gradients there are, or why there are none.
    let gradientsOf: String
    let guide: OperatorGuide
    let parameters: [Parameter]
    /// The problem whose parameters those are.
    let parametersFor: String
    let refusals: [String: String]
    let workingMemory: String
    let arithmetic: String
    let dtypes: [String]
    let headDims: [Int]
    let features: [String]
    let options: [OptionDescription]

    /// A tensor that the operator owns.
    struct Parameter: Encodable {
        let name: String
        let shape: [Int]
        let initial: String
        let summary: String
    }

    init(_ name: String, in registry: OperatorRegistry) throws(AttentionError) {
        let sheet = try OperatorSheet(name, in: registry)
        let entry = sheet.entry
        let capabilities = sheet.capabilities
        gradientsOf = sheet.gradients
        guide = sheet.guide
        parameters = sheet.parameters.map {
            Parameter(
                name: $0.name, shape: $0.shape.dimensions, initial: $0.initial.description, summary: $0.summary)
        }
        parametersFor = sheet.sample
        refusals = Dictionary(
            uniqueKeysWithValues: sheet.features.compactMap { support in
                support.refusal.map { (support.feature.rawValue, $0) }
            })
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
        options = sheet.options
    }
}
