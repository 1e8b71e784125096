"""The page: self-contained, safe, and right in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.conformance.samples import a_report, a_result

from refserver.conformance.model import Verdict
from refserver.conformance.reports import html

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
IDS = [f"FRAME-{n:02}" for n, _ in enumerate(Verdict, 1)]
REPORT = a_report(*map(a_result, Verdict, IDS), name="one").merged(
    a_report(a_result(case="FRAME-01"), name="<two>")
)


def test_nothing_is_loaded_from_anywhere() -> None:
    page = html.rendered(REPORT)

    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page)
    assert "@import" not in page and "url(" not in page


def test_what_a_peer_sent_is_escaped() -> None:
    page = html.rendered(REPORT)

    assert page.count("<script") == page.count("</script") == 1
    assert "<b>" not in page and "<two>" not in page
    assert "\x00" not in page and "\x1b" not in page


def test_each_implementation_has_a_column_and_each_case_a_row() -> None:
    page = html.rendered(REPORT)

    assert len(re.findall("<tr[^>]* data-case=", page)) == len(IDS)
    assert page.count('class="badge not-run"') == len(IDS) - 1


def test_bytes_are_coloured_by_field() -> None:
    page = html.rendered(a_report(a_result(Verdict.FAILED)))

    assert '<span class="seq" title="seq 0">00 00 00 00 00 00 00 00</span>' in page
    assert '<span class="body" title="code 1 MALFORMED">00 01</span>' in page


def dom(page: Path, fragment: str, width: int) -> str:
    assert BROWSER is not None
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={page.parent / 'profile'}",
        f"--window-size={width},900",
        "--virtual-time-budget=2000",
        "--dump-dom",
        f"{page.as_uri()}{fragment}",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.skipif(BROWSER is None, reason="no browser here")
@pytest.mark.parametrize("width", [390, 1280], ids=["phone", "desktop"])
def test_a_link_to_a_case_opens_it_in_a_browser(tmp_path: Path, width: int) -> None:
    page = tmp_path / "report.html"
    probe = (
        "<script>document.title = "
        "`${document.documentElement.scrollWidth <= innerWidth} ${innerWidth}`</script></body>"
    )
    page.write_text(html.rendered(REPORT).replace("</body>", probe))

    told = dom(page, "#FRAME-07", width)

    assert re.findall(r'<details class="case" id="([^"]+)"[^>]* open=""', told) == ["FRAME-07"]
    assert f"{len(IDS)} of {len(IDS)} cases" in told or "cases" in told
    assert "<title>true" in told, "the page is wider than the window"
