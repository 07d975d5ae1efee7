public import Kernels
public import TensorCore

/// GPTQ (Frantar, Ashkboos, Hoefler and Alistarh, 2022, arXiv 2210.17323): columns are quantised one after another, and
/// the columns that are still to come make up for the error of each.
///
/// With U, the upper Cholesky factor of the inverse of the damped Hessian, column i of the weight is rounded to q, and
/// every later column j becomes `w_j − (w_i − q) / U_ii · U_ij`. Columns go in blocks: within a block each error is passed
/// on at once, to the columns behind it in one matrix product. The size of a block changes nothing but time, so a block
/// also ends where a group begins: the group's grid is then found from weights that all earlier errors have reached.
public struct GPTQ: Sendable {
    /// What is added to the Hessian's diagonal, as a part of its mean.
    public var damping: Double
    /// Columns of a block.
    public var blockSize: Int
    /// Whether columns are quantised in the order of falling diagonal of the Hessian: large inputs first.
    public var isActOrdered: Bool
    /// Whether all grids are found from the weight as it came; groups are then neighbours in the weight even when
    /// columns are reordered.
    public var isStaticGroups: Bool
    /// How grids are found.
    public var fit: GridFit

    /// The usual settings.
    public init(
        damping: Double = 0.01, blockSize: Int = 128, isActOrdered: Bool = false, isStaticGroups: Bool = false,
        fit: GridFit = .range
    ) {
        self.damping = damping
        self.blockSize = blockSize
        self.isActOrdered = isActOrdered
        self.isStaticGroups = isStaticGroups
        self.fit = fit
    }

    /// A weight in whole numbers, and how good it is.
    public struct Result: Sendable {
        /// The weight; with columns reordered and groups that are not static it has a `groupIndex`.
        public let weight: QuantizedWeight
        /// `tr((W − Q) · H · (W − Q)ᵀ)` with the Hessian as it came: ``InputHessian/objective(_:_:)``.
        public let objective: Double
        /// The damping that was used: larger than was asked for when the Hessian was not positive definite with that.
        public let damping: Double
    }

    /// Quantises a weight `[outputs, inputs]` in F32.
    ///
    /// Columns whose inputs were always 0 become 0. Cost: about outputs · inputs² + inputs³ operations in Double; 16 ·
    /// inputs² bytes beside the Hessian.
    /// - Parameter progress: called on this thread with the part that is done, from 0 to 1.
    /// - Throws: ``QuantizationError`` when the scheme or a setting does not fit, the weight is no finite F32 matrix, the
    ///   Hessian has another width or no rows or cannot be made positive definite by tenfold damping, again and again, or
    ///   a scale is beyond the scheme's element type.
    public func quantize(
        _ weight: Tensor, _ scheme: QuantizationScheme, hessian: InputHessian, context: ComputeContext,
        progress: ((Double) -> Void)? = nil
    ) throws(QuantizationError) -> Result {
        let matrix = try WeightMatrix(weight, scheme)
        try validate(scheme)
        try QuantizationError.check(
            hessian.inputs == matrix.inputs, "hessian", "\(matrix.inputs) inputs", "\(hessian.inputs)")
        try QuantizationError.check(hessian.count > 0, "hessian", "at least one row of activations", "none")
        progress?(0)
        let factor = try HessianFactor(hessian, damping: damping, isActOrdered: isActOrdered)
        var parts = CodeParts(matrix)
        let rows = GPTQRows(
            matrix: matrix, factor: factor, fitter: GridFitter(scheme: scheme, fit: fit),
            columnBlocks: columnBlocks(matrix), isStatic: isStaticGroups || matrix.groups == 1)
        let objective = rows.run(&parts, context, progress)
        let result = try parts.weight(matrix, groupIndex: groupIndex(matrix, factor.order, isStatic: rows.isStatic))
        progress?(1)
        return Result(weight: result, objective: objective, damping: factor.damping)
    }

    private func validate(_ scheme: QuantizationScheme) throws(QuantizationError) {
        try QuantizationError.check(
            damping >= 0 && damping.isFinite, "damping", "a number from 0", "\(damping)")
        try QuantizationError.check(blockSize > 0, "blockSize", "from 1", "\(blockSize)")
        try fit.validate(scheme)
    }

    /// Blocks of columns.
    private func columnBlocks(_ matrix: WeightMatrix) -> [Range<Int>] {
        let size = isStaticGroups ? matrix.inputs : matrix.groupSize
        return stride(from: 0, to: matrix.inputs, by: size).flatMap { group in
            stride(from: group, to: group + size, by: blockSize).map { $0..<min($0 + blockSize, group + size) }
        }
    }

    /// The group of each input where it is not the input's number divided by the size of groups.
    private func groupIndex(_ matrix: WeightMatrix, _ order: [Int], isStatic: Bool) -> [Int32]? {
        guard isActOrdered, !isStatic else { return nil }
        var result = [Int32](repeating: 0, count: matrix.inputs)
        for (step, column) in order.enumerated() { result[column] = Int32(step / matrix.groupSize) }
        return result
    }
}
