import Foundation

/// Numbers as people read them: three figures and a unit.
public enum Quantity {
    /// For example `1.23 ms`.
    public static func seconds(_ value: Double) -> String {
        switch abs(value) {
        case 1...: "\(figures(value)) s"
        case 1e-3..<1: "\(figures(value * 1e3)) ms"
        default: "\(figures(value * 1e6)) µs"
        }
    }

    /// For example `1.5 MiB`.
    public static func bytes(_ value: Int) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var amount = Double(value)
        var unit = 0
        while abs(amount) >= 1024, unit < units.count - 1 {
            amount /= 1024
            unit += 1
        }
        return unit == 0 ? "\(value) B" : "\(figures(amount)) \(units[unit])"
    }

    /// Bytes from what people write: a number and, where wanted, a unit: B, KiB, MiB, GiB and TiB by 1024, kB, MB, GB and TB
    /// by 1000, in any case; `nil` for anything else and for less than one byte.
    public static func bytes(from text: String) -> Int? {
        let digits = text.prefix { $0.isNumber || $0 == "." }
        let name = text.dropFirst(digits.count).drop { $0 == " " }.lowercased()
        let units: [String: Double] = [
            "": 1, "b": 1, "kib": 0x1p10, "mib": 0x1p20, "gib": 0x1p30, "tib": 0x1p40, "kb": 1e3, "mb": 1e6,
            "gb": 1e9, "tb": 1e12,
        ]
        guard let number = Double(digits), let unit = units[name] else { return nil }
        let bytes = number * unit
        return bytes >= 1 && bytes < 0x1p62 ? Int(bytes) : nil
    }

    /// For example `71.2 %`.
    public static func percent(_ part: Double) -> String {
        part.isFinite ? String(format: "%.1f %%", part * 100) : "-"
    }

    /// For example `3.1e-07`, and `0` for nothing at all.
    public static func error(_ value: Double) -> String {
        value == 0 ? "0" : String(format: "%.1e", value)
    }

    /// For example `1.00x`.
    public static func ratio(_ value: Double) -> String { String(format: "%.2fx", value) }

    /// Three significant figures, never in scientific notation.
    public static func figures(_ value: Double) -> String {
        guard value.isFinite else { return "\(value)" }
        switch abs(value) {
        case 99.95...: return String(format: "%.0f", value)
        case 9.995..<99.95: return String(format: "%.1f", value)
        default: return String(format: "%.2f", value)
        }
    }
}
