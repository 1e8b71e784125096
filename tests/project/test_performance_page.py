"""Nothing stands in the performance page's tables that a benchmark did not print."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from benchmarks import markdown, results
from benchmarks.codec import report as codec
from benchmarks.fanout import report as fanout
from benchmarks.figures import Median, ratio

pytestmark = pytest.mark.once

PAGE = results.PAGE.read_text(encoding="utf-8")
RENDER = {"codec": codec.blocks, "fanout": fanout.blocks}


def printed(kind: str) -> dict[str, str]:
    """The blocks of the stored result, or of a page that waits for its first one."""
    names = [name for name in markdown.names(PAGE) if name.startswith(f"{kind}-")]
    assert names
    if not (results.PUBLISHED / f"{kind}.json").exists():
        return dict.fromkeys(names, "Not measured yet.")
    blocks = RENDER[kind](results.load(kind))
    assert sorted(blocks) == sorted(names)
    return {name: block.strip("\n") for name, block in blocks.items()}


@pytest.mark.parametrize("kind", RENDER)
def test_the_page_shows_the_stored_result(kind: str) -> None:
    blocks = printed(kind)

    assert {name: markdown.read(PAGE, name) for name in blocks} == blocks


def test_every_plot_that_the_page_shows_is_there() -> None:
    shown = set(re.findall(r"\]\(plots/(.*?)\)", PAGE))

    assert shown == {plot.name for plot in results.PLOTS.glob("*.svg")}


def sample(cpu: float) -> dict[str, object]:
    return {
        "deliveries": 1000,
        "deliveries_per_s": 2e6,
        "messages_per_s": 2e4,
        "server_cpu_s": cpu,
        "latency_us": {mark: 5.0 for mark in ("p50", "p90", "p99", "p99.9", "max")},
    }


def test_a_part_of_the_rows_gives_a_part_of_the_tables() -> None:
    rounds = {"refserver": [sample(0.003), None, sample(0.006)], "floor": [sample(0.003)] * 3}
    result = {
        "samples": {"one-by-one": rounds, "closed-loop": rounds},
        "failures": [{"round": 2, "row": "closed-loop", "server": "refserver", "reason": "gone"}],
        "environment": {},
        "servers": {},
        "options": {"rounds": 3, "seconds": 1, "warmup": 0},
    }

    blocks = fanout.blocks(result)

    assert "| 4.50 (3.00–6.00) | 3.00 |" in blocks["fanout-cpu"]
    assert "1000 × 4 × 32" not in blocks["fanout-cpu"]
    assert "| native | ≤ 1.1 × | 1.50 (1.00–2.00) × | no, by 36% |" in blocks["fanout-bars"]
    assert "round 2, closed-loop, refserver: gone" in blocks["fanout-bars"]
    assert blocks["fanout-latency"].count("| 5 | 5 | 5 | 5 | 5 |") == 2


def test_a_block_is_put_between_its_own_markers_and_nowhere_else() -> None:
    page = (
        "above\n<!-- begin: a -->\nold\n<!-- end: a -->\n<!-- begin: b -->\nold\n<!-- end: b -->\n"
    )

    changed = markdown.put(page, {"b": "new"})

    assert markdown.read(changed, "a") == "old"
    assert markdown.read(changed, "b") == "new"
    assert changed.startswith("above\n")


def test_a_block_without_a_place_is_refused() -> None:
    with pytest.raises(markdown.NoMarker):
        markdown.put("a page without markers\n", {"a": "new"})


def test_a_figure_shows_its_median_and_its_spread() -> None:
    assert Median.of([3, 1, 2]).show() == "2.00 (1.00–3.00)"


def test_a_ratio_is_taken_round_by_round() -> None:
    assert ratio([1, 10, 100], [1, 5, 100]) == Median(1, 1, 2)


@pytest.mark.parametrize(
    ("sense", "bound", "verdict"),
    [("≥", 3.0, "yes"), ("≥", 4.0, "no, by 25%"), ("≤", 3.0, "yes"), ("≤", 2.0, "no, by 50%")],
)
def test_a_bar_is_met_or_says_by_how_much_it_is_missed(
    sense: Literal["≥", "≤"], bound: float, verdict: str
) -> None:
    assert markdown.verdict(Median(3, 1, 5), sense, bound) == verdict
