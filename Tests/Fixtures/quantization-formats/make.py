"""Quantised layers and tiny quantised checkpoints in every format, packed by the reference implementations.

    pip install torch==2.13.0 transformers==5.24.0 safetensors==0.8.0 numpy==2.4.6
    python Tests/Fixtures/quantization-formats/make.py [folder for the packages that reference.py fetches]

`packed.safetensors` holds, for each case of `cases.json`, the tensors of a module under "<case>/<module>.<tensor>" and
beside them what they mean: "<values>/codes", "scales", "zeros", "g_idx" and "dequantized", the weight in float32, where
"values" is the case itself or an earlier one.
`checkpoints/<name>` are Llama models of two layers, rounded to nearest; `expected.safetensors` in each holds ids and the
logits that transformers gives in float32 with the dequantised weights in place.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import torch
import transformers
from safetensors.torch import save_file

from reference import Reference, weight_of

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).parent
MODULE = "model.layers.0.mlp.up_proj"


def round_to_nearest(weight, bits, group, symmetric, places=None, smallest=0):
    """Codes, F16 scales, zeros and the group of each input."""
    outputs, inputs = weight.shape
    places = torch.arange(inputs) // group if places is None else places
    groups = (inputs + group - 1) // group
    scales = torch.empty(outputs, groups, dtype=torch.float16)
    zeros = torch.empty(outputs, groups, dtype=torch.int32)
    largest = 2**bits - 1
    for index in range(groups):
        part = weight[:, places == index]
        if symmetric:
            scales[:, index] = (part.abs().amax(1) * 2 / largest).half()
            zeros[:, index] = 2**(bits - 1)
        else:
            low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
            scales[:, index] = ((high - low) / largest).half()
            zeros[:, index] = torch.round(-low / scales[:, index].float()).clamp(smallest, largest).int()
    wide = scales.float()[:, places]
    codes = (torch.round(weight / wide) + zeros[:, places]).clamp(0, largest).int()
    return codes, scales, zeros, places


def act_order(inputs, group, generator):
    """The groups that quantising in another order than the inputs' gives."""
    places = torch.empty(inputs, dtype=torch.int64)
    places[torch.randperm(inputs, generator=generator)] = torch.arange(inputs) // group
    return places


def gptq_config(bits, group, symmetric, version2, ordered):
    return dict(quant_method="gptq", bits=bits, group_size=group, desc_act=ordered, sym=symmetric,
                static_groups=False, true_sequential=True, lm_head=False, damp_percent=0.01,
                checkpoint_format="gptq_v2" if version2 else "gptq")


def awq_config(version, group):
    return dict(quant_method="awq", bits=4, group_size=group, zero_point=True, version=version,
                modules_to_not_convert=["lm_head"])


def packed_cases(reference, folder):
    cases, stored = [], {}
    generator = torch.Generator().manual_seed(28)

    def add(name, config, tensors, codes, scales, zeros, places, plain, values=None):
        cases.append(dict(name=name, module=MODULE, outputs=codes.shape[0], inputs=codes.shape[1], config=config,
                          values=values or name))
        for key, value in tensors.items():
            stored[f"{name}/{MODULE}.{key}"] = value.clone().contiguous()
        if values:
            return
        for key, value in dict(codes=codes.to(torch.uint8), scales=scales.float(), zeros=zeros.to(torch.int16),
                               g_idx=places.int(), dequantized=plain.float()).items():
            stored[f"{name}/{key}"] = value.clone().contiguous()

    def random(outputs, inputs):
        # Off centre by row, so that zeros lie everywhere.
        weight = torch.randn(outputs, inputs, generator=generator) * 0.2
        return weight + torch.randn(outputs, 1, generator=generator) * 0.3

    for bits in [2, 3, 4, 8]:
        for kind in ["asymmetric", "ordered", "row"]:
            inputs = 96 if kind == "ordered" else 64
            group = 64 if kind == "row" else 32
            places = act_order(inputs, group, generator) if kind == "ordered" else None
            # Version 1 cannot say zero 0 in a way that all its readers agree on.
            values = round_to_nearest(random(32, inputs), bits, group, kind == "row", places, smallest=1)
            file_group = -1 if kind == "row" else group
            plain = weight_of(*values)
            for version2, pack in [(False, reference.gptq_v1), (True, reference.gptq_v2)]:
                tensors = pack(bits, group, *values)
                assert torch.equal(tensors["g_idx"].long(), values[3])
                add(f"gptq-v{1 + version2}-{bits}-{kind}",
                    gptq_config(bits, file_group, kind == "row", version2, kind == "ordered"), tensors, *values, plain,
                    f"gptq-v1-{bits}-{kind}" if version2 else None)
        # Zeros of 0: as version 2 has them, as GPTQModel turns that into version 1, and what AutoGPTQ makes of them.
        values = round_to_nearest(random(64, 32), bits, 32, False)
        values[2][5, 0] = values[2][40, 0] = 0
        values[2][6, 0] = 2
        plain = weight_of(*values)
        add(f"gptq-v2-{bits}-zeros", gptq_config(bits, 32, False, True, False),
            reference.gptq_v2(bits, 32, *values), *values, plain)
        add(f"gptq-v1-{bits}-borrowed", gptq_config(bits, 32, False, False, False),
            reference.gptq_v1_of_v2(bits, 32, *values), *values, plain, f"gptq-v2-{bits}-zeros")
        if bits != 3:
            add(f"gptq-v1-{bits}-overwritten", gptq_config(bits, 32, False, False, False),
                reference.gptq_v1(bits, 32, *values), *values, plain, f"gptq-v2-{bits}-zeros")

    for name, kind, outputs, inputs, group in [
            ("awq-gemm-32", "gemm", 64, 96, 32), ("awq-gemm-row", "gemm", 32, 50, 50), ("awq-gemv-32", "gemv", 16, 96, 32),
            ("awq-gemv-64", "gemv", 16, 192, 64), ("awq-gemv-128", "gemv", 8, 256, 128)]:
        values = round_to_nearest(random(outputs, inputs), 4, group, False)
        tensors = reference.awq(kind, group, *values)
        plain = weight_of(*values)
        if kind == "gemm":
            theirs = reference.awq_dequantize(
                tensors["qweight"], tensors["qzeros"], tensors["scales"].float(), 4, group).t()
            assert torch.equal(theirs, plain)
        add(name, awq_config(kind, -1 if group == inputs else group), tensors, *values, plain)

    for name, kind, bits, outputs, inputs, group, strategy, symmetric in [
            ("ct-pack-4-group", "pack", 4, 24, 96, 32, "group", True),
            ("ct-pack-4-group-zeros", "pack", 4, 20, 96, 32, "group", False),
            ("ct-pack-4-channel", "pack", 4, 20, 50, 50, "channel", True),
            ("ct-pack-4-channel-zeros", "pack", 4, 20, 50, 50, "channel", False),
            ("ct-pack-8-channel", "pack", 8, 10, 30, 30, "channel", True),
            ("ct-pack-8-group-zeros", "pack", 8, 10, 64, 32, "group", False),
            ("ct-pack-8-tensor", "pack", 8, 10, 32, 32, "tensor", True),
            ("ct-pack-4-tensor-zeros", "pack", 4, 10, 32, 32, "tensor", False),
            ("ct-pack-2-group-zeros", "pack", 2, 20, 64, 32, "group", False),
            ("ct-pack-3-group-zeros", "pack", 3, 20, 96, 32, "group", False),
            ("ct-int-8-channel", "int", 8, 10, 30, 30, "channel", True),
            ("ct-int-4-channel-zeros", "int", 4, 10, 30, 30, "channel", False)]:
        weight = random(outputs, inputs)
        half = 2**(bits - 1)
        if strategy == "tensor":
            one = round_to_nearest(weight.reshape(1, -1), bits, weight.numel(), symmetric)
            scales, zeros = one[1].expand(outputs, 1), one[2].expand(outputs, 1)
            codes, places = one[0].reshape(outputs, inputs), torch.zeros(inputs, dtype=torch.int64)
            their_scales, their_zeros = one[1].reshape(1), (one[2] - half).reshape(1).to(torch.int8)
        else:
            codes, scales, zeros, places = round_to_nearest(weight, bits, group, symmetric)
            their_scales, their_zeros = scales, (zeros - half).to(torch.int8)
        arguments = dict(num_bits=bits, symmetric=symmetric, strategy=strategy)
        if strategy == "group":
            arguments["group_size"] = group
        exact = weight_of(codes, scales, zeros, places)
        if strategy != "group" or kind == "pack":
            tensors, plain, scheme = reference.compressed(
                kind, arguments, exact, their_scales.float(), None if symmetric else their_zeros)
        assert torch.equal(plain, exact), name
        tensors["weight_scale"] = their_scales.to(torch.float16)
        config = dict(quant_method="compressed-tensors", quantization_status="compressed", ignore=["lm_head"],
                      format={"pack": "pack-quantized", "int": "int-quantized"}[kind],
                      config_groups=dict(group_0=scheme))
        add(name, config, tensors, codes, scales, zeros, places, plain)

    # Groups in the order of quantising: written by earlier versions.
    places = act_order(96, 32, generator)
    codes, scales, zeros, places = round_to_nearest(random(16, 96), 4, 32, True, places)
    signed = (codes - 8).to(torch.int8)
    plain = reference.old_dequantize(signed, scales.float(), places.int(), folder)
    assert torch.equal(plain, weight_of(codes, scales, zeros, places))
    # Packing knows no order of groups: with a scale of 1 it takes the signed codes as they are.
    tensors, _, scheme = reference.compressed(
        "pack", dict(num_bits=4, symmetric=True, strategy="group", group_size=32), signed.float(),
        torch.ones(16, 3), None)
    scheme["weights"]["actorder"] = "group"
    tensors |= dict(weight_scale=scales, weight_g_idx=places.int())
    add("ct-pack-4-ordered", dict(quant_method="compressed-tensors", quantization_status="compressed",
        ignore=["lm_head"], format="pack-quantized", config_groups=dict(group_0=scheme)),
        tensors, codes, scales, zeros, places, plain)

    (HERE / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    save_file(stored, HERE / "packed.safetensors")


def checkpoints(reference):
    settings = dict(vocab_size=128, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False,
                    bos_token_id=1, eos_token_id=2, rms_norm_eps=1e-5)
    kinds = {
        "gptq-4-ordered": gptq_config(4, 32, False, False, True),
        "gptq-v2-3": gptq_config(3, 32, False, True, False),
        "gptq-8": gptq_config(8, 32, True, False, False),
        "gptq-2": gptq_config(2, 32, False, False, False),
        "awq-gemm-4": awq_config("gemm", 32),
        "compressed-4": None,
    }
    shutil.rmtree(HERE / "checkpoints", ignore_errors=True)
    for name, config in kinds.items():
        torch.manual_seed(5)
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings)).eval()
        generator = torch.Generator().manual_seed(9)
        with torch.no_grad():
            for parameter in model.parameters():
                deviation = 0.1 if parameter.dim() == 1 else 0.2
                parameter.copy_(parameter + torch.randn(parameter.shape, generator=generator) * deviation)
                parameter.copy_(parameter.half().float())
        tensors = {}
        scheme = None
        for module, layer in model.named_modules():
            if not isinstance(layer, torch.nn.Linear) or module == "lm_head":
                continue
            weight = layer.weight.data
            bits = config["bits"] if config else 4
            ordered = bool(config) and config.get("desc_act", False)
            places = act_order(weight.shape[1], 32, generator) if ordered else None
            symmetric = config.get("sym", False) if config else True
            values = round_to_nearest(weight, bits, 32, symmetric, places, smallest=1)
            if config is None:
                packed, _, scheme = reference.compressed(
                    "pack", dict(num_bits=4, symmetric=True, strategy="group", group_size=32),
                    weight_of(*values), values[1].float(), None)
                packed["weight_scale"] = values[1]
            elif config["quant_method"] == "awq":
                packed = reference.awq("gemm", 32, *values)
            elif config["checkpoint_format"] == "gptq":
                packed = reference.gptq_v1(bits, 32, *values)
            else:
                packed = reference.gptq_v2(bits, 32, *values)
            tensors |= {f"{module}.{key}": value.clone().contiguous() for key, value in packed.items()}
            layer.weight.data = weight_of(*values)
        for key, value in model.state_dict().items():
            if key.removesuffix(".weight") + ".weight_packed" not in tensors and (
                    key.removesuffix(".weight") + ".qweight" not in tensors):
                tensors[key] = value.half()
        place = HERE / "checkpoints" / name
        place.mkdir(parents=True)
        written = model.config.to_dict()
        written["dtype"] = "float16"
        written["architectures"] = ["LlamaForCausalLM"]
        written["quantization_config"] = config or dict(
            quant_method="compressed-tensors", quantization_status="compressed", ignore=["lm_head"],
            format="pack-quantized", kv_cache_scheme=None, config_groups=dict(group_0=scheme))
        (place / "config.json").write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")
        save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
        ids = torch.randint(3, 128, (1, 12), generator=torch.Generator().manual_seed(3))
        with torch.no_grad():
            logits = model(ids).logits[0]
        save_file(dict(ids=ids[0], logits=logits.float().contiguous()), place / "expected.safetensors")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        reference = Reference(sys.argv[1] if len(sys.argv) > 1 else folder)
        packed_cases(reference, pathlib.Path(folder))
        checkpoints(reference)
