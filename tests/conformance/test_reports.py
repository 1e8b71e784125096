"""The same report for people, CI and scripts."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import xmlschema
from rich.console import Console
from tests.conformance.samples import a_report, a_result

from refserver.conformance.model import Report, Verdict
from refserver.conformance.reports import badge, console, html, junit, markdown
from refserver.conformance.segmentation import Segmentation

EVERYTHING = a_report(*map(a_result, Verdict))
FAILED = a_report(a_result(Verdict.FAILED))


def printed(*, terminal: bool = False, width: int = 100) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=width, no_color=True), out


def on_the_console(report: Report) -> str:
    out_console, out = printed()
    console.show(out_console, report)
    return out.getvalue()


def as_junit(report: Report) -> str:
    return junit.rendered(report).decode()


def test_junit_is_what_the_strictest_reader_takes_for_every_verdict() -> None:
    schema = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))

    schema.validate(ET.fromstring(junit.rendered(EVERYTHING.merged(FAILED))))


def test_junit_counts_what_it_lists() -> None:
    (suite,) = ET.fromstring(junit.rendered(EVERYTHING)).findall("testsuite")

    for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert len(suite.findall(f"testcase/{kind}")) == int(suite.attrib[attribute])
    assert suite.attrib["tests"] == str(len(Verdict))


def test_a_failure_on_the_console_tells_everything() -> None:
    out_console, out = printed()

    console.show(out_console, FAILED)

    told = out.getvalue()
    for part in (
        "FAILED FRAME-01",
        "EP-2.1-2 A reader MUST refuse",
        "expected  MALFORMED",
        "or        the end",
        "actual    nothing",
        "cause?    the length counts itself",
        "length 11",
        "Error seq 0 (code 1 MALFORMED",
        "again     refserver check localhost:3000 FRAME-01 --segmentation whole --seed 7",
    ):
        assert part in told


def test_the_console_tells_once_what_goes_wrong_alike_in_several_segmentations() -> None:
    failed = a_result(Verdict.FAILED)
    alike = replace(failed, segmentation=Segmentation.BYTEWISE)
    otherwise = replace(failed, segmentation=Segmentation.RANDOM, actual="a reset")

    told = on_the_console(a_report(failed, alike, otherwise))

    assert told.count("FAILED FRAME-01") == 2
    assert "(MUST; whole, bytewise)" in told
    assert "(MUST; random)" in told


def test_nothing_of_a_peers_reaches_the_terminal_raw() -> None:
    out_console, out = printed()

    console.show(out_console, FAILED)

    assert "\x1b" not in out.getvalue()
    assert "\x00" not in out.getvalue()


def test_where_all_is_well_the_console_is_one_line() -> None:
    out_console, out = printed(width=300)

    console.show(out_console, a_report(a_result()))

    assert len(out.getvalue().splitlines()) == 1


def test_a_run_without_a_case_says_so() -> None:
    out_console, out = printed()

    console.show(out_console, a_report(a_result(Verdict.UNSUPPORTED)))

    assert "no case ran" in out.getvalue()


@pytest.mark.parametrize("told", [on_the_console, markdown.rendered, as_junit, html.rendered])
def test_a_case_that_depends_on_the_segmentation_is_named(told: Callable[[Report], str]) -> None:
    other = replace(a_result(Verdict.FAILED), segmentation=Segmentation.BYTEWISE)

    text = told(a_report(a_result(), other))

    assert re.search(r"differs between segmentations \(EP-2\.1-5\): .*FRAME-01", text)


@pytest.mark.parametrize("is_set", [True, False])
def test_with_no_color_a_terminal_gets_none(is_set: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if is_set:
        monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()

    console.show(Console(file=out, force_terminal=True, color_system="standard"), FAILED)

    colours = re.findall(r"\x1b\[[0-9;]*3[0-7]m", out.getvalue())
    assert bool(colours) is not is_set


def test_at_a_terminal_what_is_bad_is_told_as_it_comes() -> None:
    out_console, out = printed(terminal=True)

    with console.progress(out_console, len(Verdict)) as show:
        for result in map(a_result, Verdict):
            show(result)

    told = [each for each in Verdict if f"{str(each).upper()} FRAME-01 whole" in out.getvalue()]
    assert told == [Verdict.UNSTABLE, Verdict.STALE, Verdict.FAILED, Verdict.ERROR]


@pytest.mark.parametrize("terminal", [True, False])
def test_there_is_a_bar_only_on_a_terminal(terminal: bool) -> None:
    out_console, out = printed(terminal=terminal)

    with console.progress(out_console, 2) as show:
        show(a_result())

    assert bool(out.getvalue()) is terminal


def test_markdown_has_one_line_for_a_case_however_often_it_fails() -> None:
    cut = replace(a_result(Verdict.FAILED), segmentation=Segmentation.BYTEWISE)

    text = markdown.rendered(a_report(a_result(Verdict.UNSTABLE), cut, a_result(case="FRAME-02")))

    (line,) = [line for line in text.splitlines() if line.startswith("| FRAME-")]
    assert line.startswith("| FRAME-01 | **unstable, failed** | whole, bytewise |")


def test_markdown_has_one_line_for_a_reason_however_many_cases_it_blocks() -> None:
    reason = "builds upon LOGIN-01, which is failed"
    blocked = [
        replace(a_result(Verdict.INCONCLUSIVE, f"MSG-{n:02}"), reason=reason) for n in range(212)
    ]

    text = markdown.rendered(a_report(*blocked))

    assert text.count(reason) == 1
    assert "MSG-05 and 206 more" in text
    assert "| **all** | **212** |" in text


def test_markdown_holds_whatever_a_peer_sent() -> None:
    text = markdown.rendered(EVERYTHING)

    (line,) = [line for line in text.splitlines() if line.startswith("| FRAME-01")]
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert len(re.findall(r"(?<!\\)\|", line)) == 6


@pytest.mark.parametrize(
    ("results", "text", "colour"),
    [
        (
            [(Verdict.PASSED, "FRAME-01"), (Verdict.UNSUPPORTED, "FRAME-02")],
            "1 case passed",
            "#2e7d32",
        ),
        (
            [(Verdict.PASSED, "FRAME-01"), (Verdict.EXPECTED_FAILURE, "FRAME-02")],
            "1 of 2 cases passed",
            "#b7791f",
        ),
        (
            [(Verdict.PASSED, "FRAME-01"), (Verdict.FAILED, "FRAME-01")],
            "0 of 1 case passed",
            "#c62828",
        ),
        ([(Verdict.UNSUPPORTED, "FRAME-01")], "not tested", "#616161"),
        ([(Verdict.ERROR, "FRAME-01")], "not tested", "#616161"),
    ],
)
def test_a_badge_says_what_the_report_says(
    results: list[tuple[Verdict, str]], text: str, colour: str
) -> None:
    report = a_report(*(a_result(verdict, case) for verdict, case in results))

    root = ET.fromstring(badge.rendered(report))

    assert root.attrib["aria-label"] == f"Event Protocol 1: {text}"
    assert badge.said(report) == (text, colour)
