import CKernels

/// Panels of a weight that a thread reads side by side, each `apart` panels behind the one before.
package struct SidePanels: Sendable {
    /// The first.
    package let first: Int
    /// How many, one at least.
    package let count: Int
    /// Panels from one to the next.
    package let apart: Int

    /// The panel in a place.
    package subscript(place: Int) -> Int { first + place * apart }

    /// The same for kernels, for panels of so many outputs.
    func kernelPanels(width: Int, outputs: Int) -> zoo_side_panels {
        zoo_side_panels(
            count: Int64(count), apart: Int64(apart), columns: Int64(min(width, outputs - self[count - 1] * width)))
    }
}
