"""ONNX Runtime as a peer: the operator of its CPU provider that is quickest for each kind of row.

Measured (two Zen 4 cores, onnxruntime 1.32, 8 heads, L 2048, D 128, milliseconds): full,
com.microsoft.MultiHeadAttention 88, Attention of opset 23 102, com.microsoft.GroupQueryAttention 107; causal,
GroupQueryAttention 60, MultiHeadAttention 104, Attention 108. Blocks can only be said as a bias or a mask:
MultiHeadAttention with a bias. Decoding: GroupQueryAttention whose past and present share their memory, as a server
binds them.
"""

from __future__ import annotations

from peer import Cannot, Loaded, absent, heads_first, serve
from rows import Row, eight_bit

import numpy as np

try:
    import onnxruntime
    from onnx import TensorProto, helper
except ImportError as error:
    absent("onnxruntime", f"it is not installed ({error}); run Benchmarks/Peers/setup.sh")

TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float16): TensorProto.FLOAT16,
         np.dtype(np.int8): TensorProto.INT8, np.dtype(np.int32): TensorProto.INT32}


def session(operator: str, inputs: list[str], feeds: dict[str, np.ndarray], outputs: dict[str, tuple], threads: int,
            **attributes: object) -> onnxruntime.InferenceSession:
    """A graph of one node; an empty name is an input that is left out."""
    node = helper.make_node(operator, inputs, list(outputs), domain="com.microsoft", **attributes)
    graph = helper.make_graph(
        [node], "attention",
        [helper.make_tensor_value_info(name, TYPES[feeds[name].dtype], feeds[name].shape) for name in inputs if name],
        [helper.make_tensor_value_info(name, TYPES[dtype], shape) for name, (dtype, shape) in outputs.items()])
    model = helper.make_model(
        graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Between its turns a peer must not take a core from the other.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def flat(array: np.ndarray) -> np.ndarray:
    """[1, length, heads · headDim]."""
    return array.reshape(1, array.shape[1], -1)


def bound(made: onnxruntime.InferenceSession, feeds: dict, held: dict, row: Row, how: str) -> Loaded:
    """A call without copies of operands; `held` are outputs that go where given operands already lie."""
    binding = made.io_binding()
    # A binding's results come in the order in which they were bound: the output is the first.
    for output in made.get_outputs():
        if output.name not in held.values():
            binding.bind_output(output.name, "cpu")
    for name, array in feeds.items():
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        binding.bind_ortvalue_input(name, value)
        if name in held:
            binding.bind_ortvalue_output(held[name], value)

    def results(_: object) -> dict[str, np.ndarray]:
        output = binding.get_outputs()[0].numpy()
        return {"output": output.astype(np.float32).reshape(1, row.queries, row.heads, row.head_dim)}

    return Loaded(lambda: made.run_with_iobinding(binding), results, how)


def load_multi_head(row: Row, threads: int) -> Loaded:
    feeds = {name: flat(array) for name, array in row.operands().items()}
    inputs = ["query", "key", "value"]
    how = "com.microsoft.MultiHeadAttention"
    visible = row.visible()
    if visible is not None:
        feeds["bias"] = np.where(visible, 0, -np.inf).astype(np.float32)[None, None]
        inputs += ["", "", "bias"]
        how += " with a bias"
    made = session("MultiHeadAttention", inputs, feeds, {"output": (np.dtype(np.float32), feeds["query"].shape)},
                   threads, num_heads=row.heads)
    return bound(made, feeds, {}, row, how)


def load_grouped(row: Row, threads: int) -> Loaded:
    """GroupQueryAttention: causal, with a window or for one query; it writes keys and values to its present."""
    operands = row.operands()
    kind = np.dtype(np.float16 if row.storage == "F16" else np.float32)
    feeds = {"query": flat(operands["query"]).astype(kind)}
    inputs = ["query", "key", "value", "", "", "places", "total"]
    attributes: dict = {"num_heads": row.heads, "kv_num_heads": row.kv_heads}
    if row.window:
        attributes["local_window_size"] = row.window
    cache_kind, held = kind, {}
    for name in ("key", "value"):
        # With a past the node's own key is the last one, which is written into the cache where it already is.
        new = operands[name][:, -1:] if row.decode else operands[name]
        feeds[name] = flat(np.ascontiguousarray(new)).astype(kind)
        if row.decode:
            feeds["past_" + name] = heads_first(operands[name]).astype(kind)
            held["past_" + name] = "present_" + name
    feeds["places"], feeds["total"] = np.array([row.keys - 1], np.int32), np.array(row.keys, np.int32)
    if row.decode:
        inputs[3:5] = ["past_key", "past_value"]
    if row.storage == "INT8":
        for name in ("key", "value"):
            feeds["past_" + name], feeds[name + "_scale"] = eight_bit(feeds["past_" + name], axis=2)
        cache_kind = np.dtype(np.int8)
        inputs += [""] * 5 + ["key_scale", "value_scale"]
        attributes |= {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL", "kv_cache_bit_width": 8}
    present = (cache_kind, (1, row.kv_heads, row.keys, row.head_dim))
    outputs = {"output": (kind, feeds["query"].shape), "present_key": present, "present_value": present}
    made = session("GroupQueryAttention", inputs, feeds, outputs, threads, **attributes)
    how = "com.microsoft.GroupQueryAttention" + (", a factor for each channel" if row.storage == "INT8" else "")
    return bound(made, feeds, held, row, how)


def load(row: Row, threads: int) -> Loaded:
    if row.backward:
        raise Cannot("an inference runtime: no gradients")
    if row.storage == "BF16":
        raise Cannot("its CPU operators take F32 and F16")
    grouped = row.decode or row.mask in ("causal", "window")
    return load_grouped(row, threads) if grouped else load_multi_head(row, threads)


if __name__ == "__main__":
    serve("onnxruntime", onnxruntime.__version__, load)
