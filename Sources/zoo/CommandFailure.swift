import AttentionCore
import BenchHarness
import Foundation
import Kernels
import OperatorPlugins
import TensorCore
import TransformerBlocks

/// Why a command ends without doing what was asked: a status, a paragraph, and what to do next.
struct CommandFailure: Error {
    /// Exit statuses, after sysexits(3).
    enum Code: Int32, Encodable {
        /// A check found an error beyond its tolerance.
        case failed = 1
        /// Wrong arguments or configuration.
        case usage = 64
        /// Input that cannot be used.
        case data = 65
        /// A problem that the operator cannot run.
        case unsupported = 69
        /// A fault of this program.
        case fault = 70

        var kind: String {
            switch self {
            case .failed: "check-failed"
            case .usage: "usage"
            case .data: "bad-input"
            case .unsupported: "unsupported"
            case .fault: "internal"
            }
        }
    }

    let code: Code
    let message: String
    var advice: String?
    var operatorName: String?
    var reasons: [UnsupportedReason] = []
    var suggestions: [String] = []

    init(_ code: Code, _ message: String, advice: String? = nil) {
        self.code = code
        self.message = message
        self.advice = advice
    }

    init(_ error: AttentionError) {
        switch error {
        case .unsupported(let name, _, let reasons):
            self.init(
                .unsupported, error.description,
                advice: "change the problem as the reasons say, or see which operators can run it with 'zoo explain'")
            operatorName = name
            self.reasons = reasons
        case .unknownOperator(_, let suggestions, _):
            self.init(.usage, error.description, advice: "'zoo list' shows every operator")
            self.suggestions = suggestions
        case .unknownOption(_, let owner, let suggestions, _):
            let advice =
                owner == AttentionSpecification.automatic
                ? "'auto' takes the common options only" : "'zoo describe \(owner)' shows every option"
            self.init(.usage, error.description, advice: advice)
            self.suggestions = suggestions
        case .invalidOption, .environment:
            self.init(.usage, error.description)
        case .invalidShape, .invalidDType, .invalidValue, .missingOperand, .tensor:
            self.init(
                .data, error.description,
                advice: "layouts are query [batch, length, heads, headDim], key and value [batch, length, kvHeads, dim]"
            )
        case .duplicateOperator, .operatorFailed:
            self.init(.fault, error.description)
        }
    }

    init(_ error: BenchError) {
        switch error {
        case .attention(let inner): self.init(inner)
        case .unreadable: self.init(.data, error.description)
        case .unwritable: self.init(.usage, error.description, advice: "give a path in a folder that can be written")
        case .unknownPreset(_, let suggestions, _):
            self.init(.usage, error.description, advice: "'zoo bench operators --help' lists the presets")
            self.suggestions = suggestions
        }
    }

    init(_ error: ModelError) {
        switch error {
        case .attention(_, let inner):
            self.init(inner)
        case .environment(let inner):
            self.init(inner)
        case .tensor:
            self.init(.fault, error.description)
        case .mismatches(let list) where !list.isEmpty && list.allSatisfy { $0.subject == "attention" }:
            // The layers of a model are alike: the first says it for all.
            let others = list.count == 1 ? "" : " (and \(list.count - 1) more layers alike)"
            self.init(
                .unsupported, "the operator cannot run the model: \(list[0].description)\(others)",
                advice: "name another operator, or give it the options that the reasons ask for")
        case .unquantizable:
            self.init(
                .usage, error.description,
                advice: "choose a group size that divides every number of inputs, or a format that has a place for it")
        case .unwritable:
            self.init(.usage, error.description, advice: "name a directory that is not there yet")
        case .unreadable:
            self.init(
                .data, error.description,
                advice:
                    "a model is a directory with config.json, model.safetensors and a tokenizer; 'make model' fetches one"
            )
        default:
            self.init(.data, error.description)
        }
    }

    init(_ error: PluginError) {
        var advice = "see docs/plugins.md for what a plugin must give"
        if case .invalidRegistryFile = error.problem {
            advice = "a registry file is {\"plugins\": [\"path of a library\"]}"
        }
        self.init(.data, error.description, advice: advice)
    }

    init(_ error: ComputeContextError) { self.init(.usage, error.description) }

    init(_ error: SafetensorsError, path: String) {
        if case .unreadable(_, let reason) = error {
            self.init(.data, "'\(path)' cannot be read: \(reason)")
        } else {
            self.init(.data, "'\(path)' cannot be used: \(error.description)")
        }
    }

    /// Writes the failure to standard error.
    func report(asJSON: Bool) {
        if asJSON {
            Terminal.error(Output.json(Report(error: Body(self))))
            return
        }
        var text = "zoo: \(message)"
        if let advice { text += "\n\(advice.prefix(1).uppercased())\(advice.dropFirst())." }
        Terminal.error(text + "\n")
    }

    private struct Report: Encodable {
        let error: Body
    }

    private struct Body: Encodable {
        let code: Code
        let kind: String
        let message: String
        let advice: String?
        let `operator`: String?
        let reasons: [UnsupportedReason]?
        let suggestions: [String]?

        init(_ failure: CommandFailure) {
            code = failure.code
            kind = failure.code.kind
            message = failure.message
            advice = failure.advice
            self.operator = failure.operatorName
            reasons = failure.reasons.isEmpty ? nil : failure.reasons
            suggestions = failure.suggestions.isEmpty ? nil : failure.suggestions
        }
    }
}

/// Runs a body and turns the errors of the floors below into failures with an exit status.
func reporting<Result>(_ body: () throws -> Result) throws -> Result {
    do {
        return try body()
    } catch let error as AttentionError {
        throw CommandFailure(error)
    } catch let error as BenchError {
        throw CommandFailure(error)
    } catch let error as ModelError {
        throw CommandFailure(error)
    } catch let error as PluginError {
        throw CommandFailure(error)
    } catch let error as ComputeContextError {
        throw CommandFailure(error)
    } catch let error as TensorError {
        throw CommandFailure(.fault, error.description)
    }
}
