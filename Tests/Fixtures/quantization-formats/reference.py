"""The packers of the reference implementations, taken from their packages and run on a CPU.

Nothing of theirs is kept here: `pip download` fetches each package into a folder (by default a temporary one), and the
parts that pack are imported or executed from there.

    auto-gptq 0.7.1            wheel; nn_modules/qlinear/qlinear_cuda.py (GPTQ version 1)
    gptqmodel 7.7.0            source; PackableQuantLinear.pack_original (GPTQ version 2) and the conversion to version 1
    autoawq 0.2.9              source; WQLinear_GEMM, WQLinear_GEMV and utils/packing_utils.py
    compressed-tensors 0.20.1  wheel; PackedQuantizationCompressor and IntQuantizationCompressor; needs loguru 0.7.3 and psutil 7.0.0
    compressed-tensors 0.9.4   wheel; dequantize with weight_g_idx, which later versions have dropped
"""

import ast
import importlib.util
import math
import pathlib
import subprocess
import sys
import tarfile
import types
import zipfile

import numpy as np
import torch
import transformers

PACKAGES = ["auto-gptq==0.7.1", "gptqmodel==7.7.0", "autoawq==0.2.9", "compressed-tensors==0.20.1", "loguru==0.7.3",
            "psutil==7.0.0"]
OLD = "compressed-tensors==0.9.4"


class Reference:
    """The packers, from packages in a folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        for package in PACKAGES + [OLD]:
            self.fetch(package)
        sys.path.insert(0, str(self.place("compressed-tensors==0.20.1")))
        for helper in PACKAGES[4:]:
            sys.path.insert(0, str(self.place(helper)))
        self.auto_gptq = self.load_file(
            "auto_gptq_qlinear", self.place(PACKAGES[0]) / "auto_gptq/nn_modules/qlinear/qlinear_cuda.py").QuantLinear
        self.load_awq(next(self.place(PACKAGES[2]).glob("autoawq-*")) / "awq")
        self.load_gptqmodel(next(self.place(PACKAGES[1]).glob("gptqmodel-*")) / "gptqmodel")

    def place(self, package):
        return self.folder / package

    def fetch(self, package):
        place = self.place(package)
        if place.exists():
            return
        archive = place.with_name(place.name + ".archive")
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation",
                        "--dest", str(archive), package], check=True)
        for file in archive.iterdir():
            if file.suffix == ".whl":
                zipfile.ZipFile(file).extractall(place)
            else:
                tarfile.open(file).extractall(place, filter="data")

    @staticmethod
    def load_file(name, path):
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def load_awq(self, root):
        # The package's __init__ imports every model it knows: its modules are reached past it.
        for name in ["awq", "awq.utils", "awq.modules", "awq.modules.linear"]:
            package = types.ModuleType(name)
            package.__path__ = [str(root.parent / name.replace(".", "/"))]
            sys.modules[name] = package
        utilities = types.ModuleType("awq.utils.utils")
        utilities.get_best_device = lambda: "cpu"
        sys.modules["awq.utils.utils"] = utilities
        self.awq_gemm = importlib.import_module("awq.modules.linear.gemm").WQLinear_GEMM
        self.awq_gemv = importlib.import_module("awq.modules.linear.gemv").WQLinear_GEMV
        self.awq_dequantize = importlib.import_module("awq.utils.packing_utils").dequantize_gemm

    def load_gptqmodel(self, root):
        # Only functions that pack: the package itself needs tools for graphics cards.
        class Limits:
            def threadpool_limits(self, _):
                import contextlib
                return contextlib.nullcontext()

        class Log:
            def __getattr__(self, _):
                return types.SimpleNamespace(once=lambda *_: None)

        self.v2_names = dict(t=torch, torch=torch, np=np, math=math, transformers=transformers, nn=torch.nn,
                             _ConvNd=torch.nn.modules.conv._ConvNd, THREADPOOLCTL=Limits(), log=Log(),
                             BaseQuantLinear=object, QuantizeConfig=object)
        self.execute(root / "utils/model_dequant.py", ["unpack_rows", "unpack_cols", "pack_cols", "pack_rows",
                     "_unpack_rows_3bit", "_pack_rows_3bit", "_shift_gptq_qzeros", "_revert_gptq_v1_qzeros_correction"])
        self.execute(root / "utils/model.py", ["convert_gptq_v2_to_v1_format_module"])
        self.execute(root / "nn_modules/qlinear/__init__.py", ["pack_original"])

    def execute(self, path, names):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and (node.name in names or "3bit" in node.name):
                source = "from __future__ import annotations\n" + ast.unparse(node)
                exec(compile(source, str(path), "exec"), self.v2_names)

    # Each packer takes codes [outputs, inputs], scales and zeros [outputs, groups], and the group of each input.

    def gptq_v1(self, bits, group, codes, scales, zeros, places):
        outputs, inputs = codes.shape
        layer = self.auto_gptq(bits, group, inputs, outputs, bias=False)
        layer.pack(linear(weight_of(codes, scales, zeros, places)), scales.clone(), zeros.float(), places.int())
        # The layer's scales take the weight's type; checkpoints hold them in half precision, as these scales are.
        return dict(qweight=layer.qweight, qzeros=layer.qzeros, scales=layer.scales.half(), g_idx=layer.g_idx)

    def gptqmodel(self, bits, codes, scales, zeros, places):
        layer = torch.nn.Module()
        layer.bits, layer.maxq, layer.planar = bits, 2**bits - 1, False
        layer.pack_dtype, layer.pack_dtype_bits, layer.pack_factor = torch.int32, 32, 32 // bits
        layer.pack_np_dtype, layer.pack_np_math_dtype = np.int32, np.uint32
        layer.qzero_format = lambda format: None
        weight = linear(weight_of(codes, scales, zeros, places))
        self.v2_names["pack_original"](layer, weight, scales.clone(), zeros.float(), places.int())
        return layer

    @staticmethod
    def tensors(layer):
        return {name: getattr(layer, name).clone() for name in ["qweight", "qzeros", "scales", "g_idx"]}

    def gptq_v2(self, bits, group, codes, scales, zeros, places):
        return self.tensors(self.gptqmodel(bits, codes, scales, zeros, places))

    def gptq_v1_of_v2(self, bits, group, codes, scales, zeros, places):
        layer = self.gptqmodel(bits, codes, scales, zeros, places)
        config = types.SimpleNamespace(bits=bits, pack_dtype=torch.int32)
        self.v2_names["convert_gptq_v2_to_v1_format_module"](layer, config)
        return self.tensors(layer)

    def awq(self, kind, group, codes, scales, zeros, places):
        weight = linear(weight_of(codes, scales, zeros, places))
        if kind == "gemm":
            scales, zeros = scales.t().contiguous(), zeros.t().contiguous()
            layer = self.awq_gemm.from_linear(weight, 4, group, scales=scales, zeros=zeros.float())
        else:
            layer = self.awq_gemv.from_linear(weight, 4, group, scales=scales, zeros=zeros.float())
        return dict(qweight=layer.qweight, qzeros=layer.qzeros, scales=layer.scales)

    def compressed(self, kind, arguments, weight, scales, zeros):
        """Compressed tensors, and the weight that the package makes of them; zeros are signed, or None."""
        from compressed_tensors.compressors.naive_quantized import IntQuantizationCompressor
        from compressed_tensors.compressors.pack_quantized import PackedQuantizationCompressor
        from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
        compressor = {"pack": PackedQuantizationCompressor, "int": IntQuantizationCompressor}[kind]
        scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**arguments))
        state = dict(weight=weight, weight_scale=scales)
        if zeros is not None:
            state["weight_zero_point"] = zeros
        stored = compressor.compress(state, scheme)
        plain = compressor.decompress({k: v for k, v in stored.items() if k != "weight_scale"} |
                                      dict(weight_scale=scales.float()), scheme)["weight"]
        return stored, plain.float(), scheme.model_dump(mode="json")

    def old_dequantize(self, codes, scales, places, folder):
        """What version 0.9.4, which still knew weight_g_idx, makes of signed codes."""
        torch.save((codes, scales, places), folder / "in.pt")
        program = ("import sys, torch; sys.path.insert(0, sys.argv[1])\n"
                   "from compressed_tensors.quantization.lifecycle.forward import dequantize\n"
                   "codes, scales, places = torch.load(sys.argv[2] + '/in.pt')\n"
                   "torch.save(dequantize(codes, scales, g_idx=places), sys.argv[2] + '/out.pt')\n")
        subprocess.run([sys.executable, "-c", program, str(self.place(OLD)), str(folder)], check=True)
        return torch.load(folder / "out.pt")


def linear(weight):
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight.clone()
    return layer


def weight_of(codes, scales, zeros, places):
    """The weight in float32: one product each."""
    places = places.long()
    return scales.float()[:, places] * (codes.float() - zeros.float()[:, places])
