/// A mistake of the kinds that attention code makes.
enum Fault: String, CaseIterable, Codable, Sendable {
    case none
    // Masks and lengths.
    case causalOffByOne, windowOffByOne, topLeftIsBottomRight, denseMaskOfHeadZero, paddingRead, paddedQueriesComputed
    case hiddenNaNLeaks, hiddenBiasLeaks, infiniteBiasIsNaN, emptyRowIsNaN
    // Tails, merging and softmax.
    case lastKeyDropped, rescaleForgotten, maximumForgotten, coarseExponential, weightsInSixteenBits
    case logSumExpInBase2
    // Heads and modifiers.
    case wrongKeyHead, scaleIgnored, biasIgnored, biasOfHeadZero, softcapAfterBias, sinksIgnored, sinksInLogarithmOnly
    case alibiWithoutDistance, valueScalesIgnored
    // Determinism.
    case threadsMoveChunks, batchMovesChunks, paddingMovesChunks, queriesMoveChunks, stridesMoveChunks
    case repeatsDiffer, modifiesQuery, modifiesBias
    // Pages.
    case pageOrderIgnored, sharedPagesMoveChunks, raggedRowsMoveChunks, absentPagesMoveChunks
    // Form.
    case outputInFloat, logSumExpMissing, throwsOtherReasons, refusesTooMuch

    /// What reports the standard cases.
    static let standardCases = "the standard cases"

    /// Which checks must notice the mistake: laws by the beginnings of their names, or ``standardCases``.
    ///
    /// Others may notice it as well.
    var watchers: [String] {
        switch self {
        case .none: []
        case .causalOffByOne:
            [
                Self.standardCases, "a key that a row may not see leaves the row's bits alone",
                "NaN in hidden keys and values never reaches a row", "row i of a prompt is decoding step i",
                "a named mask is its materialised mask",
            ]
        case .windowOffByOne: [Self.standardCases, "infinite values behind a window stay there"]
        case .topLeftIsBottomRight: [Self.standardCases, "the other queries of a call do not change a bit"]
        case .denseMaskOfHeadZero: [Self.standardCases]
        case .paddingRead:
            [
                Self.standardCases, "padding is never read and comes out empty",
                "batch company and padding do not change a bit", "long sequences keep their bits in a padded batch",
            ]
        case .paddedQueriesComputed: [Self.standardCases, "padding is never read and comes out empty"]
        case .hiddenNaNLeaks: ["NaN in hidden keys and values never reaches a row"]
        case .hiddenBiasLeaks: ["NaN in a hidden cell of the bias never reaches a row"]
        case .infiniteBiasIsNaN: [Self.standardCases, "a bias of -infinity hides as a mask does"]
        case .emptyRowIsNaN: [Self.standardCases, "a row that sees no key is zero, with logSumExp -infinity"]
        case .lastKeyDropped:
            [
                Self.standardCases, "parts of the keys merge to the whole by logSumExp",
                "slices of the keys merge to the whole, whatever is placed", "a sink of 0 is a key of zeros",
            ]
        case .rescaleForgotten: [Self.standardCases, "keys and values may be permuted together"]
        case .maximumForgotten: [Self.standardCases, "logits from -1e5 to 1e5 stay finite and right"]
        case .coarseExponential: [Self.standardCases]
        case .weightsInSixteenBits: [Self.standardCases, "constant values come out unchanged"]
        case .logSumExpInBase2: [Self.standardCases, "a constant added to a row of scores shifts logSumExp alone"]
        case .wrongKeyHead: [Self.standardCases, "grouped heads are repeated key heads"]
        case .scaleIgnored: [Self.standardCases]
        case .biasIgnored: [Self.standardCases, "a constant added to a row of scores shifts logSumExp alone"]
        case .biasOfHeadZero, .softcapAfterBias, .alibiWithoutDistance, .valueScalesIgnored: [Self.standardCases]
        case .sinksIgnored: [Self.standardCases, "a sink of 0 is a key of zeros"]
        case .sinksInLogarithmOnly: [Self.standardCases, "a sink of 0 is a key of zeros"]
        case .threadsMoveChunks: ["the number of threads does not change a bit"]
        case .batchMovesChunks: ["batch company and padding do not change a bit"]
        case .paddingMovesChunks: ["long sequences keep their bits in a padded batch"]
        case .queriesMoveChunks:
            [
                "the other queries of a call do not change a bit",
                "a row's bits do not depend on how the queries are cut",
            ]
        case .pageOrderIgnored: [Self.standardCases, "pages of any size and order do not change a bit"]
        case .sharedPagesMoveChunks: ["sequences that share pages have the bits that they have alone"]
        case .raggedRowsMoveChunks: ["ragged queries are padded ones without the padding"]
        case .absentPagesMoveChunks: ["pages behind a window need not exist"]
        case .stridesMoveChunks: ["strides do not change a bit"]
        case .repeatsDiffer, .modifiesQuery, .modifiesBias: ["repeating a call does not change a bit, nor its inputs"]
        case .outputInFloat, .logSumExpMissing, .throwsOtherReasons, .refusesTooMuch: [Self.standardCases]
        }
    }
}
