"""A random Llama and texts that it wrote itself: what a model without training can be measured on.

No text is likelier than another to random weights but their own, so the float model writes the calibration text and the
held-out text, from seeds of their own. A tokenizer with a token for each printable ASCII character gives every text back
the tokens it was written in.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from server_shape import SERVED, TOKENIZER, weights, write_directory

# Four special tokens and 94 characters, in the order of the tokenizer that comes with zoo.
VOCABULARY, SPECIAL = 98, 4
LAYERS, CONTEXT = 4, 512
# Characters that the model writes in one go, its first one included.
STRETCH = CONTEXT - 2
SHAPE = replace(SERVED, name="llama-random", layers=LAYERS, vocabulary=VOCABULARY, context=CONTEXT)
# The largest factor at which the head still lets many characters follow.
HEAD_FACTOR = 4


def write_model(folder: Path) -> Path:
    """The model's directory, made once."""
    if (folder / "model.safetensors").exists():
        return folder
    tensors = weights(SHAPE)
    head = tensors["output.weight"]
    head *= HEAD_FACTOR
    # A special token would not come back from the text.
    head[:SPECIAL] = 0
    folder.mkdir(parents=True, exist_ok=True)
    write_directory(SHAPE, tensors, folder)
    (folder / "config.json").write_text(
        json.dumps(SHAPE.config() | {"bos_token_id": 0, "eos_token_id": 1}, indent=2) + "\n")
    tokenizer = json.loads((TOKENIZER / "tokenizer.json").read_text())
    model = tokenizer["model"]
    model["vocab"] = {token: number for token, number in model["vocab"].items() if number < VOCABULARY}
    model["merges"] = []
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


def write_text(zoo: str, model: Path, path: Path, characters: int, seed: int) -> Path:
    """A text of the model, one stretch for each first character."""
    firsts = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    prompts = path.with_suffix(".prompts")
    prompts.write_text("\n".join(firsts) + "\n")
    command = [zoo, "generate", "--model", str(model), "--file", str(prompts), "--temperature", "1", "--ignore-eos",
               "--max-tokens", str(STRETCH - 1), "--n", str(-(-characters // (STRETCH * len(firsts)))),
               "--seed", str(seed), "--json"]
    print(" ".join(command), file=sys.stderr, flush=True)
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    outputs = [json.loads(line) for line in lines]
    path.write_text("".join(text for output in outputs for text in texts(output))[:characters])
    return path


def texts(output: dict) -> list[str]:
    """The continuations of a prompt, each behind it."""
    return [output["prompt"] + one["text"] for one in output["outputs"]]
