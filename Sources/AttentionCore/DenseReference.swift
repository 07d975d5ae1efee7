/// Plain attention, materialised, on OpenBLAS.
public enum DenseReference {
    /// Computes attention row by row from the definition.
    public static func forward(
        _ inputs: AttentionInputs, options: AttentionOptions, precision: ReferencePrecision
    ) throws(AttentionError) -> AttentionOutput {
        throw .missingOperand(operand: "reference", expected: "an implementation")
    }
}
