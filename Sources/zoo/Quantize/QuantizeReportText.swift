import ArgumentParser
import BenchHarness
import Foundation
import TransformerBlocks

/// The results of `zoo quantize` and `zoo quantize-report` as tables and plots.
enum QuantizeReportText {
    /// Errors, layer by layer.
    static func layers(_ report: QuantizationReport) -> TableReport {
        let group = report.groupSize.map { "groups of \($0)" } ?? "a scale for each row"
        let text = report.tokens == 0 ? "no calibration" : "\(report.sequences) sequences, \(report.tokens) tokens"
        var facts = [
            "\(report.model) (\(report.family)): \(report.method), \(report.bits) bits, \(group)"
                + (report.isSymmetric ? ", symmetric" : "") + ", written as \(report.format)",
            "calibration: \(text)",
            String(
                format: "%.2f bits for a quantised weight, scales and zeros included; %@ -> %@ in all; %@",
                report.bitsPerWeight, Quantity.bytes(report.bytesBefore), Quantity.bytes(report.bytesAfter),
                Quantity.seconds(report.seconds)),
        ]
        if report.tokens == 0 {
            facts.append("without a calibration text, errors are those of the weights: |Q - W|^2 / |W|^2")
        }
        return TableReport(
            title: "\(report.method), \(report.bits) bits: errors of the layers", facts: facts,
            plots: plots(report),
            columns: [
                .init("layer"), .init("shape", .right, dropOrder: 3), .init("weight error", .right),
                .init("output error", .right), .init("objective", .right, dropOrder: 1),
                .init("damping", .right, dropOrder: 2), .init("time", .right, dropOrder: 4),
            ],
            rows: rows(report))
    }

    private static func rows(_ report: QuantizationReport) -> [[String]] {
        var rows: [[String]] = []
        func error(_ value: Double?) -> String { value.map { String(format: "%.3e", $0) } ?? "-" }
        for (index, layer) in report.layers.enumerated() {
            rows.append([
                layer.module, "\(layer.outputs) x \(layer.inputs)", error(layer.weightError), error(layer.outputError),
                error(layer.objective), error(layer.damping), Quantity.seconds(layer.seconds),
            ])
            let next = index + 1 < report.layers.count ? report.layers[index + 1].block : nil
            if let number = layer.block, number != next, let block = report.blocks.first(where: { $0.index == number })
            {
                rows.append(["block \(number)", "", "", error(block.outputError), "", "", ""])
            }
        }
        return rows
    }

    private static func plots(_ report: QuantizationReport) -> [TableReport.Plot] {
        var names: [String] = []
        var points: [String: [TableReport.Plot.Point]] = [:]
        for layer in report.layers {
            guard let block = layer.block else { continue }
            let name = layer.module.split(separator: ".").last.map(String.init) ?? layer.module
            if points[name] == nil { names.append(name) }
            let value = layer.outputError ?? layer.weightError
            points[name, default: []].append(
                .init(x: Double(block), y: value, title: "\(layer.module): \(String(format: "%.3e", value))"))
        }
        var result = [
            TableReport.Plot(
                title: report.tokens == 0 ? "Error of the weights" : "Error of what the products make",
                xLabel: "block", yLabel: report.tokens == 0 ? "|Q - W|^2 / |W|^2" : "|(Q - W)X|^2 / |WX|^2",
                isLogarithmic: true, series: names.map { .init(name: $0, points: points[$0] ?? []) })
        ]
        guard report.tokens > 0 else { return result }
        var objectives: [String: [TableReport.Plot.Point]] = [:]
        for layer in report.layers {
            guard let block = layer.block, let value = layer.objective else { continue }
            let name = layer.module.split(separator: ".").last.map(String.init) ?? layer.module
            objectives[name, default: []].append(
                .init(x: Double(block), y: value, title: "\(layer.module): \(String(format: "%.3e", value))"))
        }
        result.append(
            TableReport.Plot(
                title: "Objective", xLabel: "block", yLabel: "tr((Q - W) H (Q - W)ᵀ)", isLogarithmic: true,
                series: names.map { .init(name: $0, points: objectives[$0] ?? []) }))
        result.append(
            TableReport.Plot(
                title: "Error of what the blocks make, each from the same rows", xLabel: "block",
                yLabel: "relative squared error", isLogarithmic: true,
                series: [
                    .init(
                        name: "block",
                        points: report.blocks.map {
                            .init(
                                x: Double($0.index), y: $0.outputError,
                                title: "block \($0.index): \(String(format: "%.3e", $0.outputError))")
                        })
                ]))
        return result
    }
}

/// A report's file, whose ending says its form.
enum QuantizeReportFile {
    private static let endings = ["html", "svg", "json"]

    /// Refuses other endings.
    static func check(_ path: String?) throws {
        guard let path else { return }
        let ending = URL(fileURLWithPath: path).pathExtension.lowercased()
        guard endings.contains(ending) else {
            throw ValidationError("--report '\(path)' ends in '.\(ending)'; expected .html, .svg or .json.")
        }
    }

    /// Fails before any work when there is no such folder.
    static func checkFolder(_ path: String) throws {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
            throw CommandFailure(.usage, "--report: there is no folder '\(folder)'", advice: "make it first")
        }
    }

    /// Writes the report.
    static func write(_ page: TableReport, _ value: some Encodable, to path: String) throws {
        let text: String
        switch URL(fileURLWithPath: path).pathExtension.lowercased() {
        case "html": text = page.html
        case "svg": text = page.svg
        default: text = Output.json(value)
        }
        try reporting { try JSONLines.write(text, to: path) }
    }
}
