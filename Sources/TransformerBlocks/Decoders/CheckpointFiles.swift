import AttentionCore
import Foundation
import Kernels
import Quantization
import TensorCore

/// The safetensors files of a checkpoint's directory, all mapped: one file, or shards with an index.
struct CheckpointFiles {
    /// The directory.
    let directory: String
    private let files: [SafetensorsFile]
    /// In which of them a tensor lies.
    private let places: [String: Int]

    /// Opens `model.safetensors`, or every shard that `model.safetensors.index.json` names.
    ///
    /// Cost: O(headers).
    /// - Throws: ``ModelError`` that names the file, and for an index the tensor.
    init(directory: String) throws(ModelError) {
        self.directory = directory
        let single = directory + "/model.safetensors"
        let index = single + ".index.json"
        if FileManager.default.fileExists(atPath: single) {
            let file = try Self.open(single)
            files = [file]
            places = Dictionary(uniqueKeysWithValues: file.names.map { ($0, 0) })
        } else if FileManager.default.fileExists(atPath: index) {
            (files, places) = try Self.shards(directory, index: index)
        } else {
            let others = ["pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "consolidated.00.pth"]
                .filter { FileManager.default.fileExists(atPath: directory + "/" + $0) }
            let hint = others.isEmpty ? "" : "; \(others.joined(separator: " and ")) cannot be read"
            throw .unreadable(file: single, reason: "no such file, and no index of shards beside it" + hint)
        }
    }

    private static func open(_ path: String) throws(ModelError) -> SafetensorsFile {
        try ModelError.weightFile(path) { () throws(SafetensorsError) in try SafetensorsFile(path: path) }
    }

    private static func shards(
        _ directory: String, index: String
    ) throws(ModelError) -> ([SafetensorsFile], [String: Int]) {
        guard case .object(let map) = try JSONFile(path: index)["weight_map"] else {
            throw .invalidField(
                place: index, field: "weight_map", expected: "an object from tensors to files", actual: "missing")
        }
        var names: [String] = []
        var files: [SafetensorsFile] = []
        var places: [String: Int] = [:]
        for (tensor, value) in map.sorted(by: { $0.key < $1.key }) {
            // A name is a file beside the index, never a path.
            guard case .string(let name) = value, !name.isEmpty, !name.contains("/"), !name.hasPrefix(".") else {
                throw .invalidField(
                    place: index, field: "weight_map[\"\(tensor)\"]", expected: "the name of a file beside the index",
                    actual: value.jsonText)
            }
            var place = names.firstIndex(of: name)
            if place == nil {
                files.append(try open(directory + "/" + name))
                names.append(name)
                place = names.count - 1
            }
            guard let place, files[place][tensor] != nil else {
                throw .weights(
                    origin: index,
                    [WeightMismatch(tensor: tensor, expected: "a tensor in \(name)", actual: "missing from it")])
            }
            places[tensor] = place
        }
        return (files, places)
    }

    /// How weights of a directory's files lie in few bits: what `config.json` says, or a file beside it as the first
    /// tools wrote it; `nil` when they do not.
    /// - Throws: ``ModelError``.
    static func quantization(_ directory: String) throws(ModelError) -> QuantizationConfiguration? {
        for name in ["config.json", "quantize_config.json", "quant_config.json"] {
            let path = directory + "/" + name
            guard let bytes = FileManager.default.contents(atPath: path) else { continue }
            let found = try ModelError.checkpoint(at: path) { () throws(CheckpointFormatError) in
                try QuantizationConfiguration(json: bytes, file: path)
            }
            if let found { return found }
        }
        return nil
    }

    /// Every tensor's name, sorted.
    var names: [String] { places.keys.sorted() }

    subscript(name: String) -> Tensor? { places[name].flatMap { files[$0][name] } }
}

/// Weights of a checkpoint under the names of a model's parameters.
struct CheckpointWeights: WeightSource {
    let files: CheckpointFiles
    let layout: [String: StoredTensor]
    /// How weights of products lie there in few bits; `nil` when none do.
    let quantization: QuantizationConfiguration?

    var origin: String { files.directory }
    var names: [String] { files.names }

    func name(of parameter: ParameterDescription) -> String {
        layout[parameter.name]?.description ?? parameter.name
    }

    func tensor(for parameter: ParameterDescription) -> Tensor? {
        guard let stored = layout[parameter.name] else { return files[parameter.name] }
        return files[stored.name].map(stored.view)
    }

    /// The name of a product's tensors before `.weight`.
    private func module(of parameter: ParameterDescription) -> String? {
        parameter.role == .matrix ? layout[parameter.name]?.module : nil
    }

    func isQuantized(_ parameter: ParameterDescription) -> Bool {
        guard let quantization, let module = module(of: parameter) else { return false }
        return CheckpointFormat.tensorNames(module: module, configuration: quantization).contains { name in
            // A plain weight may have whole bytes.
            name == "\(module).weight" ? files[name]?.dtype == .int8 : files[name] != nil
        }
    }

    func quantized(for parameter: ParameterDescription) throws(ModelError) -> QuantizedWeight? {
        guard let quantization, let module = module(of: parameter) else { return nil }
        if let stored = layout[parameter.name], stored.isTransposed || stored.part != nil {
            throw .weights(
                origin: origin,
                [WeightMismatch(tensor: stored.name, expected: "a weight in F32, F16 or BF16", actual: "quantised")])
        }
        return try ModelError.checkpoint(at: origin) { () throws(CheckpointFormatError) in
            try CheckpointFormat.read(
                module: module, outputs: parameter.shape[0], inputs: parameter.shape[1], configuration: quantization,
                tensor: { files[$0] })
        }
    }

    /// Every tensor of the files that a parameter of the layout may take.
    var taken: Set<String> {
        var result = Set(layout.values.map(\.name))
        guard let quantization else { return result }
        for module in layout.values.compactMap(\.module) {
            result.formUnion(CheckpointFormat.tensorNames(module: module, configuration: quantization))
        }
        return result
    }
}
