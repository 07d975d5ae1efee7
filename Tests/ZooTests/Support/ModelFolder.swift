import Foundation

/// all-MiniLM-L6-v2, fetched when it is not there.
enum ModelFolder {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../..").standardizedFileURL

    /// The directory, or `nil` when the package index cannot be reached (status 75 of the script).
    static let path: String? = {
        let destination = root.appendingPathComponent("Models/all-MiniLM-L6-v2").path
        if FileManager.default.fileExists(atPath: destination + "/model.safetensors") { return destination }
        let process = Process()
        process.executableURL = root.appendingPathComponent("Tests/Fixtures/minilm/fetch_model.sh")
        process.arguments = [destination]
        guard (try? process.run()) != nil else { return nil }
        process.waitUntilExit()
        return process.terminationStatus == 75 ? nil : destination
    }()
}
