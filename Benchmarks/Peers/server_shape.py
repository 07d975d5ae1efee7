"""One decoder for two servers: a Hugging Face directory for zoo and a GGUF file for llama.cpp, of the same weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine_shape import COMPARED, FLOAT_BYTES, Shape
from peer import Cannot
from workers import HERE, write_tensors

# The tokenizer of the model that comes with zoo: a server has to turn tokens into text.
TOKENIZER = HERE.parents[1] / "Sources" / "DefaultModel" / "Resources" / "default-model"
SERVED = replace(COMPARED, name="llama-served", vocabulary=2048)
HUGGING_FACE = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
                "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
                "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
WHOLE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
         "output.weight": "lm_head.weight"}


def hugging_face_name(name: str) -> str:
    """llama.cpp's name of a tensor in Hugging Face's words."""
    if name in WHOLE:
        return WHOLE[name]
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{HUGGING_FACE[part]}.weight"


def weights(shape: Shape) -> dict[str, np.ndarray]:
    """Every tensor under llama.cpp's names, as Hugging Face orders its rows."""
    numbers = np.random.default_rng(1)
    return {name: numbers.standard_normal(size, np.float32) * np.float32(0.02) if len(size) > 1
            else np.ones(size, np.float32) for name, size in shape.tensors().items()}


def interleaved(matrix: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys as llama.cpp turns them: pairs side by side, where Hugging Face has halves."""
    return matrix.reshape(heads, 2, -1, matrix.shape[1]).swapaxes(1, 2).reshape(matrix.shape)


def write_directory(shape: Shape, tensors: dict[str, np.ndarray], folder: Path) -> Path:
    """The model as Hugging Face has it; returns the folder."""
    shape.write_config(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / name, folder / name)
    write_tensors(folder / "model.safetensors",
                  {hugging_face_name(name): ("F32", array) for name, array in tensors.items()})
    return folder


def write_gguf(shape: Shape, tensors: dict[str, np.ndarray], path: Path) -> Path:
    """The model as llama.cpp has it, with its tokenizer; returns the file."""
    def fill(writer, gguf) -> None:
        document = json.loads((TOKENIZER / "tokenizer.json").read_text())
        tokens = sorted(document["model"]["vocab"], key=document["model"]["vocab"].get)
        special = {entry["content"] for entry in document["added_tokens"]}
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(tokens)
        writer.add_token_types([gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL
                                for token in tokens])
        writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge)
                                 for merge in document["model"]["merges"]])
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(1)
        for name, array in tensors.items():
            if "attn_q" in name or "attn_k" in name:
                array = interleaved(array, shape.heads if "attn_q" in name else shape.kv_heads)
            writer.add_tensor(name, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()

    return shape.make_gguf(path, fill)


def write_both(folder: Path) -> tuple[Path, Path]:
    """The directory and the file, made once: together twice the bytes of the weights."""
    directory, file = folder / SERVED.name, folder / f"{SERVED.name}.gguf"
    if not (file.exists() and (directory / "model.safetensors").exists()):
        folder.mkdir(parents=True, exist_ok=True)
        free, needed = shutil.disk_usage(folder).free, 2 * FLOAT_BYTES * SERVED.weights_per_token()
        if free < needed:
            raise Cannot(f"'{folder}' has {free} bytes left; {needed} are needed")
        tensors = weights(SERVED)
        write_directory(SERVED, tensors, directory)
        write_gguf(SERVED, tensors, file)
    return directory, file
