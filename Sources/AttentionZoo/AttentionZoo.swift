// One import for users of the library: tensors, kernels' context, contracts, operators, plugins, models and the engine.
@_exported public import AttentionCore
@_exported public import AttentionOperators
@_exported public import Kernels
@_exported public import OperatorPlugins
@_exported public import PagedEngine
@_exported public import Quantization
@_exported public import TensorCore
@_exported public import Tokenizers
@_exported public import TransformerBlocks
