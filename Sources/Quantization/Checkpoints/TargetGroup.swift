/// Modules that a part of a compressed-tensors configuration is about.
public struct TargetGroup: Sendable, Hashable {
    /// Its key in `config_groups`.
    public var name: String
    /// Names of modules, regular expressions after `re:`, or the class `Linear`.
    public var targets: [String]
    /// How they are quantised.
    public var quantization: ModuleQuantization

    /// A group of a configuration.
    public init(name: String, targets: [String], quantization: ModuleQuantization) {
        self.name = name
        self.targets = targets
        self.quantization = quantization
    }
}
