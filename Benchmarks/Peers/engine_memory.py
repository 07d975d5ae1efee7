"""What pages cost and save: waste behind the last token, and pages shared by the texts of a request.

Both are counts of `zoo bench engine`, not times: they depend on the lengths, on the page size and (beam search alone)
on the model. Lengths are drawn as the PagedAttention paper reports them of two sets of conversations (Kwon et al.,
2023); savings stand beside those that it reports.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine_runs import ZooEngine, field
from peer import Cannot

PAGE_SIZE = 16
PAGES = ["--page-size", str(PAGE_SIZE)]
# Waste is half a page for each text, so that short ones cannot reach what long ones do.
WASTE_TARGETS = {"ShareGPT": 0.04}
WIDTHS = (2, 4, 6)

# What `zoo bench engine` is told for each kind of lengths.
LENGTHS = {
    "ShareGPT": ["--lengths", "sharegpt"],
    "Alpaca": ["--lengths", "alpaca"],
}

# Part of the pages that the paper saves, for the smallest and the largest of WIDTHS.
PAPER = {
    ("--n", "Alpaca"): (0.061, 0.098), ("--n", "ShareGPT"): (0.162, 0.305),
    ("--beam", "Alpaca"): (0.376, 0.552), ("--beam", "ShareGPT"): (0.443, 0.663),
}
DECODING = {"--n": "parallel sampling", "--beam": "beam search"}


def measure_waste(zoo: ZooEngine, requests: int, progress) -> Iterator[dict]:
    """One text a request, for each kind of lengths."""
    for lengths, arguments in LENGTHS.items():
        progress.say(f"waste of pages, lengths of {lengths}")
        line = {"kind": "waste", "lengths": lengths, "page_size": PAGE_SIZE, "target": WASTE_TARGETS.get(lengths)}
        try:
            answer = zoo.measure(*arguments, *PAGES, "--prompts", str(requests))
            yield line | {"waste": field(answer, "waste"), **totals(answer)}
        except Cannot as reason:
            yield line | {"reason": str(reason)}


def measure_sharing(zoo: ZooEngine, requests: int, progress) -> Iterator[dict]:
    """Several texts a request, by both ways of decoding."""
    for option, decoding in DECODING.items():
        for lengths, arguments in LENGTHS.items():
            for width in WIDTHS:
                progress.say(f"{decoding} of {width}, lengths of {lengths}")
                line = {"kind": "sharing", "decoding": decoding, "width": width, "lengths": lengths,
                        "paper": list(PAPER[option, lengths])}
                try:
                    answer = zoo.measure(*arguments, *PAGES, "--prompts", str(requests), option, str(width))
                    yield line | {"saved": field(answer, "shared"), **totals(answer)}
                except Cannot as reason:
                    yield line | {"reason": str(reason)}


def totals(answer: dict) -> dict:
    """What the numbers are of."""
    return {name: field(answer, name) for name in ("requests", "promptTokens", "outputTokens", "seconds")}


def memory_text(line: dict) -> str:
    """A line of the terminal's table."""
    if line["kind"] == "waste":
        title = f"waste of pages of {line['page_size']}, lengths of {line['lengths']}"
        aim = f" (aim: below {line['target']:.0%})" if line["target"] else ""
        result = f"{line['waste']:.1%} of the slots{aim}" if "waste" in line else ""
    else:
        title = f"{line['decoding']} of {line['width']}, lengths of {line['lengths']}"
        low, high = line["paper"]
        result = f"{line['saved']:.1%} of the pages saved (paper: {low:.1%} to {high:.1%})" if "saved" in line else ""
    return f"{title:<46}  {result or '- ' + line['reason']}"
