/// A strided view of numbers in memory.
///
/// A value: copies share storage until one of them is written.
///
/// Strides count elements and may be zero (a broadcast) or out of order (a transpose).
public struct Tensor: Sendable {
    /// The element type.
    public let dtype: DType
    /// The extents, outermost first.
    public let shape: Shape
    /// The distance, in elements, between neighbours along each dimension.
    public let strides: [Int]
    /// The first element's distance, in elements, from the start of the storage.
    public let offset: Int
    package private(set) var storage: Storage

    /// A dense tensor of zeros.
    ///
    /// Cost: O(1) until touched.
    public init(zeros shape: Shape, dtype: DType = .float32) {
        self.init(
            dtype: dtype, shape: shape, strides: shape.rowMajorStrides, offset: 0,
            storage: Storage(byteCount: shape.count * dtype.byteWidth))
    }

    /// A dense tensor whose elements are undefined until the caller has written all of them.
    package init(unwritten shape: Shape, dtype: DType = .float32) {
        self.init(
            dtype: dtype, shape: shape, strides: shape.rowMajorStrides, offset: 0,
            storage: Storage(byteCount: shape.count * dtype.byteWidth, isZeroed: false))
    }

    /// A dense tensor of the given elements in row-major order.
    ///
    /// Cost: O(count).
    /// - Throws: ``TensorError/countMismatch(shape:expected:actual:)`` when the number of elements is not the shape's.
    public init<Element: TensorElement>(_ elements: [Element], shape: Shape) throws(TensorError) {
        guard elements.count == shape.count else {
            throw .countMismatch(shape: shape, expected: shape.count, actual: elements.count)
        }
        self.init(zeros: shape, dtype: Element.dtype)
        elements.withUnsafeBytes { source in
            guard let start = source.baseAddress else { return }
            storage.base.copyMemory(from: start, byteCount: source.count)
        }
    }

    package init(dtype: DType, shape: Shape, strides: [Int], offset: Int, storage: Storage) {
        self.dtype = dtype
        self.shape = shape
        self.strides = strides
        self.offset = offset
        self.storage = storage
    }

    /// The number of elements.
    public var count: Int { shape.count }

    /// Whether elements lie densely in row-major order.
    public var isContiguous: Bool {
        if count == 0 { return true }
        // Asked for every operand of every layer: nothing is allocated.
        var dense = 1
        for axis in shape.dimensions.indices.reversed() where shape[axis] != 1 {
            if strides[axis] != dense { return false }
            dense *= shape[axis]
        }
        return true
    }

    /// The address of the first element.
    ///
    /// Valid while this value is alive (`withExtendedLifetime`).
    package var baseAddress: UnsafeRawPointer {
        UnsafeRawPointer(storage.base) + offset * dtype.byteWidth
    }

    /// The address of the first element of storage that nobody else reads yet.
    ///
    /// Operators use it to fill an output they have just made; everybody else goes through
    /// ``withUnsafeMutableElements(_:_:)``, which keeps value semantics.
    package var freshMutableAddress: UnsafeMutableRawPointer {
        storage.base + offset * dtype.byteWidth
    }

    /// Calls `body` with the elements of a contiguous tensor.
    /// - Throws: ``TensorError`` when the element type differs or the tensor is not contiguous.
    public func withUnsafeElements<Element: TensorElement, Result>(
        _ type: Element.Type, _ body: (UnsafeBufferPointer<Element>) -> Result
    ) throws(TensorError) -> Result {
        guard dtype == Element.dtype else { throw .dtypeMismatch(expected: Element.dtype, actual: dtype) }
        guard isContiguous else { throw .notContiguous(shape: shape, strides: strides) }
        return withExtendedLifetime(storage) {
            body(UnsafeBufferPointer(start: baseAddress.assumingMemoryBound(to: Element.self), count: count))
        }
    }

    /// Calls `body` with the writable elements of a contiguous tensor, copying shared storage first.
    /// - Throws: ``TensorError`` when the element type differs or the tensor is not contiguous.
    public mutating func withUnsafeMutableElements<Element: TensorElement, Result>(
        _ type: Element.Type, _ body: (UnsafeMutableBufferPointer<Element>) -> Result
    ) throws(TensorError) -> Result {
        guard dtype == Element.dtype else { throw .dtypeMismatch(expected: Element.dtype, actual: dtype) }
        guard isContiguous else { throw .notContiguous(shape: shape, strides: strides) }
        if !storage.isWritable || !isKnownUniquelyReferenced(&storage) { self = copied() }
        return withExtendedLifetime(storage) {
            body(
                UnsafeMutableBufferPointer(
                    start: freshMutableAddress.assumingMemoryBound(to: Element.self), count: count))
        }
    }
}
