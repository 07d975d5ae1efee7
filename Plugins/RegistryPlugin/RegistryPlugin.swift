import PackagePlugin

/// Runs `registrygen` on the package's `registry.json` before its target is compiled.
@main
struct RegistryPlugin: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let registry = context.package.directoryURL.appending(path: "registry.json")
        let output = context.pluginWorkDirectoryURL.appending(path: "GeneratedCatalogue.swift")
        return [
            .buildCommand(
                displayName: "Generating the operator catalogue",
                executable: try context.tool(named: "registrygen").url,
                arguments: [registry.path(percentEncoded: false), output.path(percentEncoded: false)],
                inputFiles: [registry], outputFiles: [output])
        ]
    }
}
