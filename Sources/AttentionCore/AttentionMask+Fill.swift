extension AttentionMask {
    /// Writes what one query sees of a range of keys, 1 or 0 for each, the expression walked once for the range.
    ///
    /// Cost: O(keys · parts of the expression).
    /// - Parameter cells: room for as many bytes as there are keys.
    package func fill(
        _ cells: UnsafeMutablePointer<UInt8>, query: Int, keys: Range<Int>, _ geometry: MaskGeometry
    ) {
        cells.update(repeating: 0, count: keys.count)
        let inside = keys.clamped(to: 0..<geometry.keyLength)
        guard query < geometry.queryLength, !inside.isEmpty else { return }
        fillInside(cells + (inside.lowerBound - keys.lowerBound), query, inside, geometry)
    }

    /// As ``fill(_:query:keys:_:)`` for keys and a query before the padding; cells may hold anything.
    private func fillInside(
        _ cells: UnsafeMutablePointer<UInt8>, _ query: Int, _ keys: Range<Int>, _ geometry: MaskGeometry
    ) {
        if let span = span(query: query, geometry) {
            cells.update(repeating: 0, count: keys.count)
            let seen = span.clamped(to: keys)
            if !seen.isEmpty { (cells + (seen.lowerBound - keys.lowerBound)).update(repeating: 1, count: seen.count) }
            return
        }
        switch self {
        case .and(let parts): join(parts, cells, query, keys, geometry) { $0 & $1 }
        case .or(let parts): join(parts, cells, query, keys, geometry) { $0 | $1 }
        case .not(let part):
            part.fillInside(cells, query, keys, geometry)
            for key in 0..<keys.count { cells[key] ^= 1 }
        case .function(let function):
            for (place, key) in keys.enumerated() { cells[place] = function.visible(query, key, geometry) ? 1 : 0 }
        default:
            for (place, key) in keys.enumerated() {
                cells[place] = allows(query: query, key: key, geometry) ? 1 : 0
            }
        }
    }

    private func join(
        _ parts: [AttentionMask], _ cells: UnsafeMutablePointer<UInt8>, _ query: Int, _ keys: Range<Int>,
        _ geometry: MaskGeometry, _ combine: (UInt8, UInt8) -> UInt8
    ) {
        guard let first = parts.first else { return }
        first.fillInside(cells, query, keys, geometry)
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: keys.count) { buffer in
            guard let other = buffer.baseAddress else { return }
            for part in parts.dropFirst() {
                part.fillInside(other, query, keys, geometry)
                for key in 0..<keys.count { cells[key] = combine(cells[key], other[key]) }
            }
        }
    }
}
