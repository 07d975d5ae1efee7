"""What every peer's worker is: a process that loads a row, makes timed calls when told to and writes its result.

A worker reads one JSON object a line and answers with one:

    {"do": "load", "row": {...}, "threads": 2}   {"how": "the call in words"} or {"reason": "why it cannot"}
    {"do": "run", "count": 3}                    {"seconds": [...]}
    {"do": "write", "path": "result.npz"}        {}
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rows import Row


class Cannot(Exception):
    """The peer has no such thing; the message is the reason that tables show."""


@dataclass
class Loaded:
    """A row that is ready: one call, its results as zoo's names and shapes, and what was called."""

    call: Callable[[], object]
    results: Callable[[object], dict[str, np.ndarray]]
    how: str


def serve(name: str, version: str, load: Callable[[Row, int], Loaded]) -> None:
    """Answers requests until the input ends."""
    # Libraries print what they like to standard output; answers go to a copy of it that they do not know.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(fields: dict) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    answer({"name": name, "version": version})
    loaded: Loaded | None = None
    first: object = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "load":
                # Before the next one is made: two rows of gradients need not be in memory at once.
                loaded, first = None, None
                loaded = load(Row(**request["row"]), request["threads"])
                first = loaded.call()
                answer({"how": loaded.how})
            elif request["do"] == "run" and loaded:
                answer({"seconds": timed(loaded.call, request["count"])})
            elif request["do"] == "write" and loaded:
                np.savez(request["path"], **loaded.results(first))
                answer({})
            else:
                answer({"reason": f"a worker with{'out' if not loaded else ''} a row got {line.strip()}"})
        except Exception as error:  # Whatever a library raises is the reason why its cell is empty.
            answer({"reason": str(error) if isinstance(error, Cannot) else short(error)})


def absent(name: str, reason: str) -> None:
    """Says that the peer is not here, and ends."""
    print(json.dumps({"name": name, "reason": reason}), flush=True)
    sys.exit(0)


def short(error: Exception) -> str:
    """An error's kind and the beginning of its text on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def timed(call: Callable[[], object], calls: int) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def heads_first(array: np.ndarray) -> np.ndarray:
    """[1, heads, length, headDim] in order, which peers like best, from [1, length, heads, headDim]."""
    return np.ascontiguousarray(array.transpose(0, 2, 1, 3))
