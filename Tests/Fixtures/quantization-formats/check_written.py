"""Reads a directory that `zoo quantize` wrote with the reference implementations, and compares what the models say.

    zoo quantize --method awq --format awq --group-size 32 --calibration text.txt --output stories-awq
    python Tests/Fixtures/quantization-formats/check_written.py stories-awq --zoo .build/release/zoo [--packages folder]

Every quantised layer is unpacked by the package of its format: by AutoGPTQ's own layer (GPTQ version 1), by GPTQModel's
functions (version 2) or by AutoAWQ's. transformers runs the model in float32 with those weights, and the log-probability
of every token of a prompt is compared with that of `zoo generate --activations float32`.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file

from reference import Reference

PROMPT = "Once upon a time there was a little fox. The fox wanted to find a friend, and went to the river."


def dequantized(reference, config, layer):
    """The weight [outputs, inputs] in float32, by the package of the format."""
    bits, group = config["bits"], config["group_size"]
    if config["quant_method"] == "awq":
        return reference.awq_dequantize(
            layer["qweight"], layer["qzeros"], layer["scales"].float(), bits, group).t().contiguous()
    inputs, outputs = layer["qweight"].shape[0] * 32 // bits, layer["qweight"].shape[1]
    if config.get("checkpoint_format", "gptq") == "gptq":
        module = reference.auto_gptq(bits, group, inputs, outputs, bias=False)
        for name, tensor in layer.items():
            setattr(module, name, tensor)
        # Their scales are in half precision; the product with rows in float32 shall be in float32.
        module.scales = module.scales.float()
        return module(torch.eye(inputs)).t().contiguous()
    # Planar layouts are for widths that zoo does not write.
    names = reference.v2_names
    names["PLANAR_BITS"] = ()
    codes = names["unpack_rows"](layer["qweight"], bits)[:inputs]
    zeros = names["unpack_cols"](layer["qzeros"], bits)[:, :outputs]
    places = layer["g_idx"].long()
    return (layer["scales"].float()[places] * (codes - zeros[places]).float()).t().contiguous()


def model_of(reference, directory):
    """transformers' model with the unpacked weights, and how many layers were unpacked."""
    tensors = {}
    for file in sorted(directory.glob("*.safetensors")):
        tensors |= load_file(file)
    config = transformers.AutoConfig.from_pretrained(directory)
    description = config.quantization_config
    del config.quantization_config
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    layers = {name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")}
    state = {name: tensor.float() for name, tensor in tensors.items() if name.rpartition(".")[0] not in layers}
    for name in layers:
        layer = {key.rpartition(".")[2]: tensor for key, tensor in tensors.items() if key.rpartition(".")[0] == name}
        if layer.pop("bias", None) is not None:
            state[f"{name}.bias"] = tensors[f"{name}.bias"].float()
        state[f"{name}.weight"] = dequantized(reference, description, layer)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return model, len(layers)


def ours(zoo, directory):
    """Tokens of the prompt, and the log-probability of each but the first."""
    command = [zoo, "generate", "--model", str(directory), "--activations", "float32", "--prompt-logprobs", "0",
               "--max-tokens", "1", "--json", PROMPT]
    output = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return output["promptTokenIds"], output["promptLogprobs"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", type=pathlib.Path, nargs="+")
    parser.add_argument("--zoo", default=".build/release/zoo")
    parser.add_argument("--packages", help="keep the reference packages in this folder")
    parser.add_argument("--limit", type=float, default=1e-3, help="the largest difference of a log-probability")
    given = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        reference = Reference(given.packages or folder)
        for directory in given.directories:
            model, layers = model_of(reference, directory)
            ids, found = ours(given.zoo, directory)
            with torch.no_grad():
                theirs = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
            difference = max(abs(theirs[place - 1, ids[place]].item() - logprob(found[place], ids[place]))
                             for place in range(1, len(ids)))
            worst = max(worst, difference)
            print(f"{directory}: {layers} layers unpacked, {len(ids) - 1} log-probabilities, "
                  f"largest difference {difference:.2e}")
    sys.exit(0 if worst <= given.limit else 1)


def logprob(entry, token):
    return next(one["logprob"] for one in entry if one["tokenId"] == token)


if __name__ == "__main__":
    main()
