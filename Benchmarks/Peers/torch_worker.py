"""PyTorch as a peer: scaled_dot_product_attention, the same with each group of heads as rows, or FlexAttention.

    python torch_worker.py torch|torch-rows|flex
"""

from __future__ import annotations

import shutil
import sys

from peer import Cannot, Loaded, absent, heads_first, serve
from rows import BLOCK, Row, block_layout

NAME = sys.argv[1]

try:
    import torch
    from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
except ImportError as error:
    absent(NAME, f"torch is not installed ({error}); run Benchmarks/Peers/setup.sh")

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def tensors(row: Row) -> dict[str, torch.Tensor]:
    """Operands [1, heads, length, headDim] in the row's storage."""
    if row.storage not in TYPES:
        raise Cannot("attention on eight-bit keys and values does not exist in PyTorch")
    return {name: torch.from_numpy(heads_first(array)).to(TYPES[row.storage])
            for name, array in row.operands().items()}


def positions_first(tensor: torch.Tensor):
    return tensor.detach().transpose(1, 2).float().numpy()


def load_sdpa(row: Row, as_rows: bool) -> Loaded:
    operands = tensors(row)
    q, k, v = (operands[name] for name in ("query", "key", "value"))
    if as_rows:
        # Every head of a group reads the same keys, and there is one query: heads may pass as rows.
        shape = q.shape
        q = q.view(1, row.kv_heads, row.heads // row.kv_heads, row.head_dim)
        return Loaded(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v),
                      lambda out: {"output": positions_first(out.view(shape))},
                      "scaled_dot_product_attention, the heads of a group as rows")
    # A window or a layout can only be said as a Bool mask; it is made once, outside of the timing.
    mask = torch.from_numpy(row.visible()) if row.mask in ("window", "blocks") else None

    def attend() -> torch.Tensor:
        return torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=row.mask == "causal", enable_gqa=row.heads != row.kv_heads)

    how = "scaled_dot_product_attention" + (", Bool mask" if mask is not None else "")
    if not row.backward:
        return Loaded(attend, lambda out: {"output": positions_first(out)}, how)
    for leaf in (q, k, v):
        leaf.requires_grad_()

    def step() -> tuple[torch.Tensor, ...]:
        with torch.enable_grad():
            return torch.autograd.grad(attend(), (q, k, v), operands["output_gradient"])

    names = ("query_gradient", "key_gradient", "value_gradient")
    return Loaded(step, lambda out: {n: positions_first(t) for n, t in zip(names, out)}, how + " and autograd")


def block_mask(row: Row) -> BlockMask | None:
    """The mask as FlexAttention's blocks: those without a visible pair are skipped."""
    if row.mask == "full":
        return None
    rules = {
        "causal": lambda b, h, i, j: j <= i,
        "window": lambda b, h, i, j: (j <= i) & (i - j < row.window),
    }
    if row.mask in rules:
        return create_block_mask(rules[row.mask], None, None, row.queries, row.keys, device="cpu")
    layout = torch.from_numpy(block_layout(row.queries))
    # Kept blocks are whole: no rule has to be asked inside of them.
    counts = layout.sum(1, dtype=torch.int32)
    places = torch.argsort(layout.int(), dim=1, descending=True, stable=True).to(torch.int32)
    none = torch.zeros_like(counts)
    return BlockMask.from_kv_blocks(
        none[None, None], torch.zeros_like(places)[None, None], counts[None, None], places[None, None],
        BLOCK_SIZE=BLOCK, seq_lengths=(row.queries, row.keys))


def load_flex(row: Row) -> Loaded:
    if row.backward:
        raise Cannot("FlexAttention has no gradients on the CPU")
    if not (shutil.which("g++") or shutil.which("clang++")):
        raise Cannot("torch.compile needs a C++ compiler: install g++ or clang++")
    operands = tensors(row)
    q, k, v = (operands[name] for name in ("query", "key", "value"))
    mask = block_mask(row)
    # Shapes of an earlier row would make this one dynamic, which is slower code.
    torch._dynamo.reset()
    compiled = torch.compile(flex_attention, dynamic=False)
    return Loaded(lambda: compiled(q, k, v, block_mask=mask, enable_gqa=row.heads != row.kv_heads),
                  lambda out: {"output": positions_first(out)}, "torch.compile(flex_attention)")


def load(row: Row, threads: int) -> Loaded:
    torch.set_num_threads(threads)
    return load_flex(row) if NAME == "flex" else load_sdpa(row, as_rows=NAME == "torch-rows")


if __name__ == "__main__":
    with torch.no_grad():
        serve(NAME, torch.__version__, load)
