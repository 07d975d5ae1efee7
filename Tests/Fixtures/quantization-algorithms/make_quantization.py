"""Weights quantised by the reference implementations of GPTQ and AWQ, on a CPU in float32.

GPTQ and its grids are the classes of AutoGPTQ 0.7.1 (auto_gptq/quantization/gptq.py and quantizer.py), AWQ's searches
the methods of AutoAWQ 0.2.9 (awq/quantize/quantizer.py), run as they are. Around them:

- AutoGPTQ finds a group's grid from weights that the errors of its own block of columns have not reached yet. Where
  groups are not static, codes are those of a block as long as a group, so that there are no such errors; the objective
  with AutoGPTQ's own 128 is stored beside it.
- F16 scales: a subclass of the grid rounds the scale before the zero and the codes are found. AutoGPTQ rounds it when
  the file is written, after the codes.
- AutoGPTQ keeps rounded weights; codes are found again from them and the grid, and checked.

The two packages are unpacked, not installed:

    pip download --no-deps --only-binary :all: --python-version 311 --platform manylinux2014_x86_64 auto-gptq==0.7.1
    pip download --no-deps --no-build-isolation autoawq==0.2.9
    python make_quantization.py DIRECTORY   # holds auto_gptq/ and autoawq-0.2.9/
"""
import importlib.util
import json
import pathlib
import sys
import types

import numpy
import torch
import transformers
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = pathlib.Path(sys.argv[1])
GROUP = 32

torch.set_num_threads(1)
torch.cuda.synchronize = lambda: None
if not hasattr(transformers, "Conv1D"):
    transformers.Conv1D = transformers.pytorch_utils.Conv1D


def load(name, path, package=None):
    if package:
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [str(path.parent)]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def stub(name, **contents):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(contents)


gptq = load("reference.gptq", SOURCES / "auto_gptq/quantization/gptq.py", "reference")
grids = sys.modules["reference.quantizer"]


def nothing(*_, **__):
    return None


stub("awq")
for part in ["utils", "quantize", "modules"]:
    stub(f"awq.{part}")
stub("awq.utils.calib_data", get_calib_dataset=nothing)
stub("awq.quantize.scale", apply_scale=nothing, apply_clip=nothing)
stub("awq.utils.utils", clear_memory=nothing, get_best_device=lambda: "cpu")
stub("awq.modules.linear", WQLinear_GEMM=None, WQLinear_GEMV=None, WQLinear_Marlin=None, WQLinear_GEMVFast=None)
stub("awq.utils.module", append_str_prefix=nothing, get_op_name=lambda module, op: op, get_named_linears=nothing,
     set_op_by_name=nothing, exclude_layers_to_not_quantize=nothing)
awq = load("reference_awq", SOURCES / "autoawq-0.2.9/awq/quantize/quantizer.py")


class HalfGrid(grids.Quantizer):
    """A grid whose scale is a number of binary16 when codes are found."""

    def find_params(self, x, weight=False):
        super().find_params(x, weight)
        self.scale = self.scale.half().float()
        if not self.sym:
            low = torch.clamp(x.min(1)[0], max=0).reshape(self.scale.shape)
            high = torch.clamp(x.max(1)[0], min=0).reshape(self.scale.shape)
            zero = torch.clamp(torch.round(-low / self.scale), 0, self.maxq)
            self.zero = torch.where((low == 0) & (high == 0), self.zero, zero)


def rng(seed):
    return numpy.random.default_rng(seed)


def make_inputs(rows, width, seed, dead):
    """Correlated channels, a few of them twenty times as large as the others, one always zero."""
    random = rng(seed)
    mix = random.standard_normal((width // 4, width))
    x = random.standard_normal((rows, width // 4)) @ mix / 2 + 0.3 * random.standard_normal((rows, width))
    x *= numpy.exp(0.5 * random.standard_normal(width))
    for channel in random.choice([c for c in range(width) if c != dead], 3, replace=False):
        x[:, channel] *= 20
    if dead is not None:
        x[:, dead] = 0
    # Numbers of binary16, so that the file is small.
    return torch.tensor(x, dtype=torch.float16).float()


def make_weight(outputs, width, seed, dead):
    random = rng(seed)
    w = random.standard_normal((outputs, width)) / width**0.5
    # AutoGPTQ looks at a dead column when it finds a whole row's grid: not at its ends.
    if dead is not None:
        w[:, dead] *= 0.1
    return torch.tensor(w, dtype=torch.float32)


def objective(weight, rounded, x):
    hessian = 2 / len(x) * x.double().T @ x.double()
    d = weight.double() - rounded.double()
    return float(((d @ hessian) * d).sum())


def run_gptq(weight, x, case, block):
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight.clone()
    worker = gptq.GPTQ(layer)
    worker.quantizer = (HalfGrid if case["scaleType"] == "F16" else grids.Quantizer)()
    worker.quantizer.configure(case["bits"], perchannel=True, sym=case["isSymmetric"], mse=case["leastError"])
    # Every row is a sample: H is then 2/n times the sum over rows.
    worker.add_batch(x.unsqueeze(1), None)
    size = case["groupSize"] or -1
    scale, zero, index = worker.fasterquant(
        blocksize=block, group_size=size, actorder=case["isActOrdered"], static_groups=case["isStaticGroups"])
    rounded = layer.weight.data
    index = index.long() if case["groupSize"] else torch.zeros(weight.shape[1], dtype=torch.long)
    wide_scale, wide_zero = scale[:, index], zero[:, index]
    codes = torch.round(rounded / wide_scale) + wide_zero
    assert codes.min() >= 0 and codes.max() < 2 ** case["bits"]
    assert torch.equal(wide_scale * (codes - wide_zero), rounded)
    return codes, scale, zero, index, rounded


def gptq_cases(tensors):
    cases = []
    shapes = {"small": (24, 64, 11, [2, 3, 4, 8]), "wide": (33, 96, 40, [3, 4])}
    for name, (outputs, width, dead, all_bits) in shapes.items():
        x = make_inputs(192, width, len(name), dead)
        weight = make_weight(outputs, width, 7 * len(name), dead)
        tensors[f"{name}.inputs"] = x.half()
        tensors[f"{name}.weight"] = weight
        modes = [(GROUP, act, static) for act in (False, True) for static in (False, True)]
        modes += [(None, act, False) for act in (False, True)]
        variants = [(bits, sym, mode, "F32", False) for bits in all_bits for sym in (False, True) for mode in modes]
        if name == "small":
            variants += [(bits, sym, mode, "F16", False) for bits in (3, 4) for sym in (False, True)
                         for mode in modes[:1] + modes[3:4]]
            variants += [(bits, sym, mode, "F32", True) for bits in (3, 4) for sym in (False, True)
                         for mode in modes[:1] + modes[4:5]]
        for bits, sym, (size, act, static), scale_type, least in variants:
            case = {"bits": bits, "groupSize": size, "isSymmetric": sym, "isActOrdered": act,
                    "isStaticGroups": static, "scaleType": scale_type, "leastError": least, "operands": name}
            case["name"] = f"gptq{len(cases)}"
            # Whole rows go in several blocks, so that errors reach columns behind a block.
            block = 128 if static else size or 24
            codes, scale, zero, index, rounded = run_gptq(weight, x, case, block)
            case["objective"] = objective(weight, rounded, x)
            case["objectiveOfUsualBlock"] = objective(weight, run_gptq(weight, x, case, 128)[4], x)
            prefix = case["name"]
            tensors[f"{prefix}.codes"] = codes.to(torch.uint8).contiguous()
            tensors[f"{prefix}.scales"] = scale.contiguous()
            tensors[f"{prefix}.zeros"] = zero.to(torch.uint8).contiguous()
            if not torch.equal(index, torch.arange(width) // (size or width)):
                tensors[f"{prefix}.groupIndex"] = index.to(torch.uint8)
            cases.append(case)
    return cases


class Gated(torch.nn.Module):
    """Two layers that read the same inputs, and what they lead to."""

    def __init__(self, gate, up):
        super().__init__()
        self.gate = torch.nn.Linear(gate.shape[1], gate.shape[0], bias=False)
        self.up = torch.nn.Linear(up.shape[1], up.shape[0], bias=False)
        self.gate.weight.data, self.up.weight.data = gate.clone(), up.clone()

    def state_dict(self, *args, **kwargs):
        # AutoAWQ keeps the weights with .cpu(), a copy only of what is on a GPU, and multiplies them in place.
        return {name: tensor.clone() for name, tensor in super().state_dict(*args, **kwargs).items()}

    def forward(self, x):
        return torch.nn.functional.silu(self.gate(x)) * self.up(x)


def awq_cases(tensors):
    width, outputs = 96, 64
    x = make_inputs(128, width, 21, None)
    gate, up = make_weight(outputs, width, 22, None), make_weight(outputs, width, 23, None)
    tensors["awq.inputs"], tensors["awq.gate"], tensors["awq.up"] = x.half(), gate, up
    cases = []
    for bits in (3, 4):
        for size in (GROUP, None):
            for duo in (False, True):
                worker = awq.AwqQuantizer.__new__(awq.AwqQuantizer)
                worker.w_bit, worker.group_size, worker.zero_point = bits, size or width, True
                worker.duo_scaling, worker.max_chunk_memory, worker.n_parallel_calib_samples = duo, 2**30, None
                module = Gated(gate, up)
                scales = worker._search_best_scale(module, "before", [module.gate, module.up], x, module)[2]
                rounded = []
                for weight in (gate, up):
                    rounded.append(worker.pseudo_quantize_tensor(weight * scales)[0] / scales)
                exact, approximate = Gated(gate, up)(x), Gated(*rounded)(x)
                clip = worker._compute_best_clip(up * scales, x / scales)
                clipped = torch.clamp((up * scales).reshape(*clip.shape[:2], -1), -clip, clip).reshape(up.shape)
                name = f"awq{len(cases)}"
                cases.append({"name": name, "bits": bits, "groupSize": size, "usesWeightMagnitudes": duo,
                              "error": float((exact - approximate).double().pow(2).mean())})
                tensors[f"{name}.scales"] = scales
                tensors[f"{name}.maxima"] = clip.squeeze(-1).contiguous()
                tensors[f"{name}.clipped"] = worker.pseudo_quantize_tensor(clipped)[0].half()
    return cases


with torch.no_grad():
    tensors = {}
    cases = {"gptq": gptq_cases(tensors), "awq": awq_cases(tensors)}
(HERE / "cases.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, HERE / "expected.safetensors")
print({name: len(items) for name, items in cases.items()})
