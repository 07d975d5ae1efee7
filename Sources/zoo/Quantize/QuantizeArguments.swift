import ArgumentParser
import Foundation
import Quantization
import Tokenizers
import TransformerBlocks

/// Bits, groups and zeros.
struct SchemeArguments: ParsableArguments {
    @Option(help: "Bits of a weight: 2, 3, 4 or 8; by default 4.")
    var bits: Int?

    @Option(help: "Inputs that share a scale; -1: a whole row.")
    var groupSize = 128

    @Flag(help: "Put every zero in the middle, instead of one for each group.")
    var symmetric = false

    @Flag(help: "Weights -1, 0 and 1 times a scale, kept in 2 bits.")
    var ternary = false

    func scheme() throws -> QuantizationScheme {
        guard groupSize == -1 || groupSize > 0 else {
            throw CommandFailure(
                .usage, "--group-size is \(groupSize); expected a number above 0, or -1 for a whole row")
        }
        let group = groupSize == -1 ? nil : groupSize
        if ternary {
            guard bits ?? 2 == 2 else {
                throw CommandFailure(.usage, "--bits is \(bits ?? 2), but --ternary weights have 2")
            }
            return .ternary(groupSize: group)
        }
        let bits = bits ?? 4
        guard [2, 3, 4, 8].contains(bits) else {
            throw CommandFailure(.usage, "--bits is \(bits); expected 2, 3, 4 or 8")
        }
        return QuantizationScheme(bits: bits, groupSize: group, isSymmetric: symmetric)
    }
}

/// What GPTQ alone has.
struct GPTQArguments: ParsableArguments {
    @Flag(help: "Quantise inputs that matter most first.")
    var actOrder = false

    @Flag(help: "Fix the scales of all groups before the first column, so that --act-order keeps groups together.")
    var staticGroups = false

    @Option(help: "What is added to the diagonal of the Hessian, as a part of its mean; by default 0.01.")
    var damping: Double?

    @Option(help: "Columns that are updated together; by default 128.")
    var blockSize: Int?

    @Flag(help: "Let every product of a block see what the Float block makes, not the quantised products before it.")
    var noTrueSequential = false

    /// Refuses settings that the method would not look at.
    func check(_ method: MethodName) throws {
        try MethodName.gptq.checkOwn(
            [
                ("--act-order", actOrder), ("--static-groups", staticGroups), ("--damping", damping != nil),
                ("--block-size", blockSize != nil), ("--no-true-sequential", noTrueSequential),
            ], asked: method)
    }

    var settings: GPTQ {
        GPTQ(
            damping: damping ?? GPTQ().damping, blockSize: blockSize ?? GPTQ().blockSize, isActOrdered: actOrder,
            isStaticGroups: staticGroups)
    }
}

/// What AWQ alone has.
struct AWQArguments: ParsableArguments {
    @Flag(help: "Do not search for the limits at which weights are cut.")
    var noClip = false
    @Flag(
        inversion: .prefixedNo,
        help: "Whether scales also fall with the weights' magnitudes, as AutoAWQ's do; by default yes.")
    var duoScaling: Bool?

    /// The search as asked for.
    var settings: AWQ { AWQ(usesWeightMagnitudes: duoScaling ?? AWQ().usesWeightMagnitudes) }

    /// Refuses settings that the method would not look at.
    func check(_ method: MethodName) throws {
        try MethodName.awq.checkOwn(
            [("--no-clip", noClip), ("--duo-scaling", duoScaling == true), ("--no-duo-scaling", duoScaling == false)],
            asked: method)
    }
}

extension MethodName {
    /// Refuses settings that this method alone has where another one is asked for.
    fileprivate func checkOwn(_ settings: [(name: String, isGiven: Bool)], asked method: MethodName) throws {
        let given = settings.filter(\.isGiven).map(\.name)
        guard method != self, !given.isEmpty else { return }
        throw ValidationError(
            "\(given.joined(separator: ", ")): a setting of \(rawValue); --method is \(method.rawValue).")
    }
}

/// The text that the model reads while it is quantised.
struct CalibrationArguments: ParsableArguments {
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("The calibration text: UTF-8 files, joined in order.", valueName: "file"))
    var calibration: [String] = []

    @Option(help: "Stretches of the text; by default 128.")
    var samples: Int?

    @Option(help: "Tokens of a stretch; by default the model's length, at most 2048.")
    var sequenceLength: Int?

    @Option(help: "Picks the places of the stretches; by default 0.")
    var seed: UInt64?

    /// Refuses a calibration that is missing or not looked at.
    func check(_ method: MethodName) throws {
        guard calibration.isEmpty else { return }
        if method != .rtn {
            throw ValidationError(
                "--method \(method.rawValue) needs --calibration FILE: a text like those that the model will read, some "
                    + "thousand words or more. --method rtn needs none.")
        }
        guard samples == nil, sequenceLength == nil, seed == nil else {
            throw ValidationError(
                "--samples, --sequence-length and --seed choose from a --calibration, and there is none.")
        }
    }

    /// The token sequences; empty when no text is given.
    func sequences(_ directory: String, _ quantizer: ModelQuantizer) throws -> [[Int]] {
        guard !calibration.isEmpty else { return [] }
        let limit = quantizer.maximumLength
        let length = sequenceLength ?? min(2048, limit)
        guard (1...limit).contains(length) else {
            throw CommandFailure(.usage, "--sequence-length is \(length); expected from 1 to the model's \(limit)")
        }
        let count = samples ?? 128
        guard count >= 1 else { throw CommandFailure(.usage, "--samples is \(count); expected 1 or more") }
        var tokens: [Int] = []
        do {
            let tokenizer = try Tokenizer(directory: directory)
            for file in calibration {
                guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
                    throw CommandFailure(.data, "--calibration '\(file)' cannot be read as UTF-8 text")
                }
                tokens += try tokenizer.ids(of: text)
            }
        } catch let error as TokenizerError {
            throw CommandFailure(.data, error.description)
        }
        guard tokens.count >= length else {
            throw CommandFailure(
                .data,
                "the calibration text has \(tokens.count) tokens; expected at least the \(length) of one stretch",
                advice: "give more text, or a smaller --sequence-length")
        }
        return try reporting {
            try CalibrationText.sequences(of: tokens, count: count, length: length, seed: seed ?? 0)
        }
    }
}
