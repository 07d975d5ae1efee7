import AttentionCore
import CZooPlugin
import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A shared library of operators, loaded and checked.
///
/// The library stays loaded as long as the process: operators may outlive every value of this type.
public struct PluginLibrary: Sendable {
    /// The version of the C ABI that this host serves.
    public static let abiVersion = UInt32(ZOO_PLUGIN_ABI_VERSION)

    /// The path, absolute.
    public let file: String
    /// What the plugin calls itself.
    public let name: String
    /// The plugin's own version.
    public let version: String
    let operators: [PluginDescription]

    /// The names that the operators have in configurations.
    public var operatorIDs: [String] { operators.map(\.entry.id) }

    /// Loads a library and checks everything it says.
    ///
    /// Loading runs the library's own initialisers: load only what you trust.
    /// - Parameter path: absolute, or relative to the working directory.
    /// - Throws: ``PluginError``.
    public init(path: String) throws(PluginError) {
        let file = URL(fileURLWithPath: path).standardizedFileURL.path
        self.file = file
        let table = try Self.table(file)
        let header = table.pointee
        guard header.abi_version == Self.abiVersion else {
            throw PluginError(file: file, .wrongVersion(plugin: header.abi_version, host: Self.abiVersion))
        }
        let expected = MemoryLayout<zoo_plugin>.size
        guard header.struct_size >= expected else {
            throw PluginError(
                file: file,
                .wrongSize(structure: "zoo_plugin", actual: Int(header.struct_size), expected: expected))
        }
        let fields = PluginFields(file: file, owner: "the plugin")
        name = try fields.text(header.name, "name")
        version = try fields.text(header.version, "version")
        guard header.operator_count > 0 else { throw PluginError(file: file, .noOperators) }
        guard let list = header.operators else {
            throw PluginError(file: file, .missingField(owner: "the plugin", field: "operators"))
        }
        var operators: [PluginDescription] = []
        for index in 0..<Int(clamping: header.operator_count) {
            guard let pointer = list[index] else { throw PluginError(file: file, .nullOperator(number: index + 1)) }
            operators.append(try PluginDescription(pointer, number: index + 1, file: file))
        }
        self.operators = operators
    }

    private static let entry = "zoo_plugin_entry"

    private static func table(_ file: String) throws(PluginError) -> UnsafePointer<zoo_plugin> {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: file, isDirectory: &isFolder) else {
            throw PluginError(file: file, .missing)
        }
        if isFolder.boolValue { throw PluginError(file: file, .isFolder) }
        guard let handle = dlopen(file, RTLD_NOW | RTLD_LOCAL) else {
            let reason = dlerror().map { String(cString: $0) } ?? "for a reason the system does not tell"
            throw PluginError(file: file, .notALibrary(reason: reason))
        }
        guard let symbol = dlsym(handle, entry) else { throw PluginError(file: file, .missingSymbol(entry)) }
        let function = unsafeBitCast(symbol, to: (@convention(c) (UInt32) -> UnsafePointer<zoo_plugin>?).self)
        guard let table = function(abiVersion) else {
            throw PluginError(file: file, .refusesVersion(host: abiVersion))
        }
        return table
    }
}
