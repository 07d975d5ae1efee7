"""One query on keys in pages beside the same query on the same keys in one piece."""

from __future__ import annotations

import statistics
import time

import numpy as np

from bench_peers import SETTLE_SECONDS
from engine_runs import Calls
from peer import Cannot
from rows import LIMITS

PAGE_SIZE = 16
# In a cache that was empty a text finds its pages one after the other; in one that has been used for long, anywhere.
ORDERS = ("in order", "random")
DECODE_KEYS, HEADS, KV_HEADS, HEAD_DIM = (4096, 16384), 32, 8, 128
# Turns of a round, and calls of each: short, so that both meet the same machine.
TURNS, TURN_CALLS, WARM_CALLS = 40, 5, 20


def contiguous(keys: int) -> dict[str, np.ndarray]:
    """Operands of one sequence."""
    numbers = np.random.default_rng(1)
    shapes = {"query": (1, 1, HEADS, HEAD_DIM), "key": (1, keys, KV_HEADS, HEAD_DIM),
              "value": (1, keys, KV_HEADS, HEAD_DIM)}
    return {name: numbers.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def paged(operands: dict[str, np.ndarray], order: str) -> dict[str, np.ndarray]:
    """The same with keys and values in pages."""
    keys = operands["key"].shape[1]
    table = np.arange(keys // PAGE_SIZE, dtype=np.int32)
    if order == "random":
        table = np.random.default_rng(2).permutation(table)
    found = {"query": operands["query"], "block_table": table[np.newaxis], "key_lengths": np.array([keys], np.int32)}
    for name in ("key", "value"):
        pool = np.empty((len(table), PAGE_SIZE, KV_HEADS, HEAD_DIM), np.float32)
        pool[table] = operands[name].reshape(pool.shape)
        found[name] = pool
    return found


def measure_round(binary: str, operands: dict[str, np.ndarray], threads: int) -> tuple[dict[str, float], float, float]:
    """Seconds of each, the bytes a second that are read at most, and how far the results lie apart."""
    workers: dict[str, Calls] = {}
    try:
        workers["contiguous"] = Calls(binary, "grouped-query", operands, threads)
        whole, apart = workers["contiguous"].output(), 0.0
        for order in ORDERS:
            workers[order] = Calls(binary, "paged", paged(operands, order), threads)
            # The larger of both, and NaN if there is any.
            apart = float(np.maximum(apart, np.abs(whole - workers[order].output()).max()))
        # Written so that NaN fails too; the time of a wrong answer is worth nothing.
        if not apart <= LIMITS["F32"]:
            raise Cannot(f"the results differ by {apart:.1e}, allowed {LIMITS['F32']:.0e}")
        time.sleep(SETTLE_SECONDS)
        for worker in workers.values():
            worker.run(WARM_CALLS)
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        for number in range(TURNS):
            for name in list(workers)[:: 1 if number % 2 == 0 else -1]:
                # The first call finds another's keys in the cache.
                seconds[name].append(statistics.median(workers[name].run(TURN_CALLS + 1)[1:]))
        time.sleep(SETTLE_SECONDS)
        read = workers["contiguous"].read() * 1e9
    finally:
        for worker in workers.values():
            worker.close()
    return {name: statistics.median(times) for name, times in seconds.items()}, read, apart


def measure_decode(binary: str, keys: int, threads: int, rounds: int) -> dict:
    """Times of all, in turns; a ratio is the time in one piece over that in pages.

    Every round has processes of its own: where the system puts their memory decides some hundredths.
    """
    line = {"kind": "decode", "keys": keys, "page_size": PAGE_SIZE, "rounds": rounds}
    operands = contiguous(keys)
    try:
        measured = [measure_round(binary, operands, threads) for _ in range(rounds)]
    except Cannot as reason:
        return line | {"reason": str(reason)}
    size = operands["key"].nbytes + operands["value"].nbytes
    results = {
        name: {"ms": statistics.median(seconds[name] for seconds, _, _ in measured) * 1e3,
               "of_read": statistics.median(size / seconds[name] / read for seconds, read, _ in measured)}
        for name in ("contiguous", *ORDERS)}
    ratios = {order: [seconds["contiguous"] / seconds[order] for seconds, _, _ in measured] for order in ORDERS}
    return line | {"results": results, "ratio": {order: statistics.median(found) for order, found in ratios.items()},
                   "ratios": ratios, "difference": max(apart for _, _, apart in measured)}


def decode_text(line: dict) -> str:
    """A line of the terminal's table."""
    title = f"one query of {HEADS}/{KV_HEADS} heads, {line['keys']} keys"
    if "reason" in line:
        return f"{title:<46}  - {line['reason']}"
    parts = [f"{name} {result['ms']:.2f} ms ({result['of_read']:.0%} of read)"
             for name, result in line["results"].items()]
    ratios = [f"pages {order} are {line['ratio'][order]:.2f}x as fast ({min(found):.2f} to {max(found):.2f})"
              for order, found in line["ratios"].items()]
    return f"{title:<46}  {', '.join(parts)}; {', '.join(ratios)}"
