"""The page: self-contained, safe, and right in a real browser."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any

import pytest
from tests.conformance.samples import a_case, a_report, a_result
from tests.support.browser import BROWSER, Browser, browsing

from refserver.conformance.model import Level, Result, Verdict
from refserver.conformance.reports import html as page
from refserver.conformance.segmentation import Segmentation

pytestmark = pytest.mark.once

CASES = [
    a_case(f"FRAME-{n:02}", section=section, level=level)
    for n, (section, level) in enumerate(
        [("framing", Level.MUST), ("login", Level.SHOULD), ("text", Level.MUST)] * 3, 1
    )
]
IDS = [case.id for case in CASES[: len(Verdict)]]
CUT = replace(a_result(case="FRAME-07"), segmentation=Segmentation.BYTEWISE)
REPORT = a_report(*map(a_result, Verdict, IDS), CUT, name="one", cases=CASES).merged(
    a_report(a_result(case="FRAME-01"), a_result(Verdict.FAILED, "FRAME-02"), name="<two>")
)


def test_nothing_is_loaded_from_anywhere() -> None:
    told = page.rendered(REPORT)

    assert not re.findall(r"""(?:src|href)=["'](?!#)""", told)
    assert "@import" not in told and "url(" not in told


def test_what_a_peer_sent_is_escaped() -> None:
    told = page.rendered(REPORT)

    assert told.count("<script") == told.count("</script") == 1
    assert "<b>" not in told and "<two>" not in told
    assert "\x00" not in told and "\x1b" not in told


def test_what_must_be_looked_at_stands_first() -> None:
    headings = re.findall(r'<h2 class="name">([^<]+)', page.rendered(REPORT))

    assert [each.strip() for each in headings] == [
        "Needs attention",
        "Inconclusive",
        "framing",
        "text",
    ]


def test_a_case_stands_once_and_each_implementation_beside_it() -> None:
    told = page.rendered(REPORT)

    assert sorted(re.findall('<details class="case" id="([^"]+)"', told)) == [
        case.id for case in CASES
    ]
    assert told.count('class="badge not-run"') == 2 * len(CASES) - len(REPORT.results) + 1


def test_a_verdict_says_in_how_many_segmentations_it_was_so() -> None:
    other = replace(a_result(Verdict.FAILED), segmentation=Segmentation.BYTEWISE)

    told = page.rendered(a_report(a_result(), other))

    assert '<a class="badge failed" href="#FRAME-01--0">failed 1/2</a>' in told


def test_bytes_are_drawn_where_a_case_went_wrong_somewhere() -> None:
    seq = '<span class="seq" data-field="seq" title="seq 0">00 00 00 00 00 00 00 00</span>'
    code = '<span class="body" data-field="code" title="code 1 MALFORMED">00 01</span>'

    well = page.rendered(a_report(a_result()))
    mixed = page.rendered(a_report(a_result()).merged(a_report(a_result(Verdict.FAILED))))

    assert seq not in well
    assert mixed.count(seq) == mixed.count(code) == 2


def test_the_second_piece_of_a_frame_has_the_names_of_its_fields() -> None:
    told = page.rendered(a_report(a_result(Verdict.FAILED)))

    assert '<span class="type" data-field="type" title="type Message">02</span>' in told


# In a window a browser has a least width, which is wider than a phone: a frame has none. The
# page asks itself, since a page from a file may not look into a frame.
FRAME = Template(
    "<!doctype html><iframe src='$page' width='$width' height='800' style='color-scheme: $scheme'>"
    "</iframe><pre></pre><script>onmessage = ({ data }) => "
    "document.querySelector('pre').textContent = JSON.stringify(data)</script>"
)
PROBE = """
<script>
addEventListener("load", () => {
  const form = document.querySelector("form");
  const cases = [...document.querySelectorAll(".case")];
  const seen = () => cases.filter(each => each.offsetHeight).length;
  const sticky = getComputedStyle(document.querySelector(".bar")).position === "sticky";
  const tell = () => ({ said: form.elements.shown.value, seen: seen(), query: location.search });
  const place = each => document.querySelector(each)?.getBoundingClientRect();
  const told = {
    width: innerWidth,
    fits: document.documentElement.scrollWidth <= innerWidth,
    colour: getComputedStyle(document.body).backgroundColor,
    start: tell(),
    open: cases.filter(each => each.open).map(each => each.id),
    hash: location.hash,
    heading: place(".case[open] summary")?.top,
    bar: sticky ? place(".bar").bottom : 0,
    filters: {}, badges: {},
  };
  for (const name of ["verdict", "level", "section"]) {
    for (const { value } of [...form.elements[name].options].filter(each => each.value)) {
      form.reset();
      form.elements[name].value = value;
      form.dispatchEvent(new Event("input"));
      told.filters[`${name} ${value}`] = tell();
    }
  }
  for (const badge of document.querySelectorAll("button[data-verdict]")) {
    badge.click();
    told.badges[`${badge.dataset.run} ${badge.textContent}`] = tell();
  }
  form.elements.text.value = "nowhere";
  form.dispatchEvent(new Event("input"));
  told.nothing = document.querySelector(".nothing").offsetHeight > 0;
  form.elements.clear.click();
  told.cleared = tell();
  const bytes = document.querySelector(".bytes");
  for (let each = bytes; each; each = each.parentElement.closest("details")) each.open = true;
  setTimeout(() => {
    told.fields = [...bytes.querySelectorAll("td")].map(each => each.textContent);
    parent.postMessage(told, "*");
  }, 100);
});
</script></body>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    pytest.importorskip("websockets", reason="the extra ws is not installed")
    with browsing(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


def looked_at(
    browser: Browser,
    folder: Path,
    address: str = "",
    *,
    width: int = 1280,
    scheme: str = "light",
) -> dict[str, Any]:
    """What the page says of itself in a frame of a browser."""
    report, frame = folder / "report.html", folder / "frame.html"
    report.write_text(page.rendered(REPORT).replace("</body>", PROBE))
    source = report.as_uri() + address
    frame.write_text(FRAME.substitute(page=source, width=width, scheme=scheme))
    outer = browser.open(frame.as_uri())
    outer.until("document.querySelector('pre').textContent")
    found: dict[str, Any] = json.loads(*outer.texts("pre"))
    browser.close_pages()
    return found


def cases_with(results: Iterable[Result], verdict: str) -> int:
    return len({result.case for result in results if result.verdict == verdict})


in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no browser here")


@pytest.fixture(scope="module")
def desktop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return looked_at(browser, tmp_path_factory.mktemp("desktop"))


@in_a_browser
@pytest.mark.parametrize("width", [390, 800, 1280], ids=["phone", "tablet", "desktop"])
def test_a_link_opens_its_case_below_the_bar(browser: Browser, tmp_path: Path, width: int) -> None:
    told = looked_at(browser, tmp_path, "#frame-07", width=width)

    assert told["width"] == width
    assert told["fits"], "the page is wider than the window"
    assert (told["open"], told["hash"]) == (["FRAME-07"], "#FRAME-07")
    assert told["bar"] <= told["heading"] < told["bar"] + 40


@in_a_browser
def test_each_filter_shows_the_cases_that_it_names(desktop: dict[str, Any]) -> None:
    counts = {f"verdict {each}": cases_with(REPORT.results, each) for each in Verdict}
    for name in ("level", "section"):
        counts |= Counter(f"{name} {case[name]}" for case in REPORT.cases)

    assert desktop["filters"] == {
        name: {
            "said": f"{count} of {len(CASES)} cases",
            "seen": count,
            "query": f"?{name.replace(' ', '=')}",
        }
        for name, count in counts.items()
    }


@in_a_browser
def test_where_no_case_fits_the_page_says_so_and_a_click_shows_all(desktop: dict[str, Any]) -> None:
    assert desktop["nothing"]
    assert desktop["cleared"]["said"] == f"{len(CASES)} of {len(CASES)} cases"
    assert desktop["cleared"]["query"] == ""


@in_a_browser
def test_a_count_shows_as_many_cases_of_its_run(desktop: dict[str, Any]) -> None:
    told = desktop["badges"]

    expected = {
        f"{number} {count} {verdict}": count
        for number, run in enumerate(REPORT.runs)
        for verdict in Verdict
        if (count := cases_with(run.results, verdict))
    }
    assert {badge: found["seen"] for badge, found in told.items()} == expected


@in_a_browser
def test_filters_come_from_the_address(browser: Browser, tmp_path: Path) -> None:
    told = looked_at(browser, tmp_path, "?verdict=failed&run=1")

    assert told["start"]["said"] == f"1 of {len(CASES)} cases"
    assert told["start"]["seen"] == 1


@in_a_browser
def test_bytes_unfold_into_a_table_of_their_fields(desktop: dict[str, Any]) -> None:
    assert desktop["fields"] == ["0", "00 00 00 0b", "length", "11"]


@in_a_browser
def test_the_page_follows_the_browser_into_the_dark(
    browser: Browser, desktop: dict[str, Any], tmp_path: Path
) -> None:
    dark = looked_at(browser, tmp_path, scheme="dark")

    assert (desktop["colour"], dark["colour"]) == ("rgb(251, 251, 250)", "rgb(22, 24, 27)")
