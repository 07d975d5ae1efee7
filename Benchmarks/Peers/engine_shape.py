"""The decoder that engines are compared on: its numbers, config.json for zoo, and a GGUF file for llama.cpp."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np

from peer import Cannot

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Shape:
    """A decoder of the Llama family with weights in F32."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    context: int = 4096
    rope_theta: float = 10000.0
    epsilon: float = 1e-5

    def layer_tensors(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of each matrix of a layer, under llama.cpp's names."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "attn_q": (queries, self.hidden), "attn_k": (keys, self.hidden), "attn_v": (keys, self.hidden),
            "attn_output": (self.hidden, queries), "ffn_gate": (self.intermediate, self.hidden),
            "ffn_up": (self.intermediate, self.hidden), "ffn_down": (self.hidden, self.intermediate)}

    def weights_per_token(self) -> int:
        """Weights that every token multiplies: those of the layers and of the output, not the table of embeddings."""
        layer = sum(rows * columns for rows, columns in self.layer_tensors().values())
        return self.layers * (layer + 2 * self.hidden) + self.hidden + self.vocabulary * self.hidden

    def bytes_per_token(self) -> int:
        """Bytes that one token reads at least; the cache of short texts is less than a hundredth of it."""
        return FLOAT_BYTES * self.weights_per_token()

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor of the model, under llama.cpp's names."""
        found: dict[str, tuple[int, ...]] = {"token_embd.weight": (self.vocabulary, self.hidden)}
        for layer in range(self.layers):
            found[f"blk.{layer}.attn_norm.weight"] = found[f"blk.{layer}.ffn_norm.weight"] = (self.hidden,)
            found |= {f"blk.{layer}.{name}.weight": shape for name, shape in self.layer_tensors().items()}
        return found | {"output_norm.weight": (self.hidden,), "output.weight": (self.vocabulary, self.hidden)}

    def config(self) -> dict:
        """config.json as Hugging Face writes it for this family."""
        return {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
            "hidden_size": self.hidden, "num_hidden_layers": self.layers, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "head_dim": self.head_dim, "intermediate_size": self.intermediate,
            "vocab_size": self.vocabulary, "max_position_embeddings": self.context, "rms_norm_eps": self.epsilon,
            "rope_theta": self.rope_theta, "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False,
            "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32"}

    def write_config(self, folder: Path) -> Path:
        """A model's folder that holds config.json alone; returns the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config(), indent=2) + "\n")
        return folder

    def write_gguf(self, folder: Path) -> Path:
        """The same decoder with random weights as GGUF, a gigabyte, made once; returns the file."""
        return self.make_gguf(folder / f"{self.name}.gguf", self._fill)

    def _fill(self, writer, gguf) -> None:
        # The benchmarks draw tokens by number: no tokenizer is needed.
        writer.add_tokenizer_model("none")
        shapes = self.tensors()
        for name, shape in shapes.items():
            size = FLOAT_BYTES * int(np.prod(shape))
            writer.add_tensor_info(name, shape, np.dtype(np.float32), size)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        numbers = np.random.default_rng(1)
        for shape in shapes.values():
            normal = numbers.standard_normal(shape, np.float32)
            writer.write_tensor_data(normal * np.float32(0.02) if len(shape) > 1 else np.ones(shape, np.float32))

    def make_gguf(self, path: Path, fill: Callable) -> Path:
        """A GGUF file of this shape, made once: `fill` gives the writer a tokenizer and tensors, and writes them."""
        if path.exists():
            return path
        try:
            import gguf
        except ImportError as error:
            raise Cannot(f"the package gguf is missing ({error})") from error
        path.parent.mkdir(parents=True, exist_ok=True)
        # A run that ends here must not leave half a file behind under the name that the next run believes.
        partial = path.with_suffix(".partial")
        writer = gguf.GGUFWriter(partial, "llama")
        self.add_fields(writer, gguf)
        fill(writer, gguf)
        writer.close()
        partial.rename(path)
        return path

    def add_fields(self, writer, gguf) -> None:
        """The numbers of the shape."""
        writer.add_context_length(self.context)
        writer.add_embedding_length(self.hidden)
        writer.add_block_count(self.layers)
        writer.add_feed_forward_length(self.intermediate)
        writer.add_head_count(self.heads)
        writer.add_head_count_kv(self.kv_heads)
        writer.add_key_length(self.head_dim)
        writer.add_value_length(self.head_dim)
        writer.add_rope_dimension_count(self.head_dim)
        writer.add_rope_freq_base(self.rope_theta)
        writer.add_layer_norm_rms_eps(self.epsilon)
        writer.add_vocab_size(self.vocabulary)
        writer.add_file_type(gguf.LlamaFileType.ALL_F32)


# 213 million weights are multiplied for each token.
COMPARED = Shape("llama-213m", hidden=1024, layers=16, heads=16, kv_heads=4, head_dim=64, intermediate=2816,
                 vocabulary=32000)

# Where only pages are counted: what a token costs does not matter, and long runs of many requests should end soon.
SMALL = Shape("llama-small", hidden=64, layers=1, heads=2, kv_heads=1, head_dim=32, intermediate=128, vocabulary=512)
