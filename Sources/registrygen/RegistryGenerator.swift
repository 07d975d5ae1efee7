import Foundation

/// Turns `registry.json` into the Swift file that registers every operator.
@main
enum RegistryGenerator {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else { fail("usage: registrygen registry.json output.swift", status: 64) }
        do {
            let catalogue = try Catalogue(json: Data(contentsOf: URL(fileURLWithPath: arguments[1])))
            let source = Data(Renderer(catalogue).source.utf8)
            try source.write(to: URL(fileURLWithPath: arguments[2]), options: .atomic)
        } catch let error as CatalogueError {
            // The form `file:line: error: message` is what build tools turn into a link.
            let place = error.line.map { ":\($0)" } ?? ""
            fail("\(arguments[1])\(place): error: \(error.message)", status: 1)
        } catch {
            fail("\(arguments[1]): error: \(error)", status: 1)
        }
    }

    private static func fail(_ message: String, status: Int32) -> Never {
        FileHandle.standardError.write(Data((message + "\n").utf8))
        exit(status)
    }
}
