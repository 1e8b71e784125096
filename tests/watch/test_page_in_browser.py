"""The live page in a real Chromium: by mouse and by keyboard, large and small, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.browser import BROWSER, Browser, Page, browsing
from tests.support.raw import frame, short
from tests.watch.talks import wrong_talk

pytest.importorskip("starlette", reason="the extra page is not installed")
pytest.importorskip("uvicorn", reason="the extra page is not installed")
pytest.importorskip("websockets", reason="the extra ws is not installed")

from tests.watch.showing import Shown, shown

from refserver.watch.conversation import Bytes, Did, Ended, Item, Opened, Side

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]

CLIENT, SERVER = Side.CLIENT, Side.SERVER
NASTY = "<img src=x onerror=alert(1)>\u202egnirts\x1b[31m"
ROWS = "#timeline li"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture(autouse=True)
def pages_are_closed(browser: Browser) -> Iterator[None]:
    yield
    browser.close_pages()


@pytest.fixture
def live() -> Iterator[Shown]:
    with shown(enter=False, rules=["drop Ack:3"]) as live:
        yield live


def opened(browser: Browser, live: Shown, *items: Item) -> Page:
    """The page with these items on it."""
    live.fed.take(*items)
    page = browser.open(live.link)
    page.until(f"document.querySelectorAll('{ROWS}').length >= 1")
    return page


def test_the_address_does_not_keep_the_link_and_a_reload_shows_the_page_again(
    browser: Browser, live: Shown
) -> None:
    page = opened(browser, live, *wrong_talk())

    assert page.run("location.href") == f"http://127.0.0.1:{live.port}/"
    assert page.run("document.cookie") == ""
    page.reload()
    page.until(f"document.querySelectorAll('{ROWS}').length === 6")


def test_a_frame_is_taken_apart_on_a_click_and_bytes_and_fields_have_one_colour(
    browser: Browser, live: Shown
) -> None:
    page = opened(browser, live, *wrong_talk())

    page.until("document.querySelectorAll('#found .finding').length === 1")
    assert page.texts("#timeline .bad .said") == [
        "→ Message seq 3 (sender 'ann', content 'again') — finding"
    ]
    page.run("document.querySelector('#timeline .bad').click()")
    page.until("document.querySelectorAll('.fields tbody tr').length === 7")

    assert page.texts("#frame .swatch")[-2:] == ["sender", "content"]
    assert page.texts(".bytes span")[-2:] == ["03 61 6e 6e", "61 67 61 69 6e"]
    colours = page.run(
        "[...document.querySelectorAll('.swatch')].map((swatch, n) => getComputedStyle(swatch)"
        ".backgroundColor === getComputedStyle(document.querySelectorAll('.bytes span')[n])"
        ".backgroundColor)"
    )
    assert colours == [True] * 7
    assert "usually" in page.texts("#frame dt")


def test_what_a_peer_wrote_is_text(browser: Browser, live: Shown) -> None:
    page = opened(
        browser,
        live,
        *wrong_talk(),
        Bytes(0.6, 1, CLIENT, frame(2, 4, b"\0" + NASTY.encode())),
        Opened(0.7, 2, NASTY, NASTY),
        Did(0.8, 1, CLIENT, NASTY),
        Bytes(0.9, 2, CLIENT, frame(2, 4, short(NASTY) + NASTY.encode())),
    )
    page.until("document.querySelectorAll('#found .finding').length === 3")
    page.run(f"[...document.querySelectorAll('{ROWS}')].at(-1).click()")
    page.until("document.querySelector('.fields')")
    page.run("document.getElementById('tab-connections').click()")
    page.until("document.querySelectorAll('#all-connections tr').length === 2")

    assert page.run("document.querySelectorAll('img').length") == 0
    text = page.run("document.body.textContent")
    assert "<img src=x" in text and "\\u202egnirts\\x1b" in text
    assert "\u202e" not in text and "\x1b" not in text


def test_everything_is_reached_by_keyboard_alone(browser: Browser, live: Shown) -> None:
    page = opened(browser, live, *wrong_talk())
    page.until("document.querySelectorAll('#found .finding').length === 1")
    at = "document.activeElement.id"

    page.press("/", "a", "g", "a", "i", "n")
    assert page.run(at) == "text"
    page.until(f"document.querySelectorAll('{ROWS}').length === 1")
    while page.run(at) != "timeline":
        page.press("Tab")
    page.press("ArrowDown")
    page.until("document.querySelectorAll('.fields tbody tr').length === 7")
    assert page.run(at) == "timeline"
    assert page.texts("#timeline [aria-selected=true] .n") == ["1"]
    page.press("Tab")
    assert page.run(at) == "tab-frame"
    page.press("Tab")
    while page.run("document.activeElement.closest('.fields') === null"):
        page.press("Tab")
    assert page.run("document.querySelectorAll('.lit').length") == 2
    page.run("document.getElementById('tab-frame').focus()")
    for name in ("findings", "connections", "coverage", "send", "faults", "save", "frame"):
        page.press("ArrowRight")
        assert page.run(at) == f"tab-{name}"
        assert page.run(f"document.getElementById('{name}').hidden") is False
    page.run("document.getElementById('tab-faults').click()")
    page.run("document.querySelector('#rules input').focus()")
    page.press(" ")
    page.until("document.querySelector('#rules input').checked === false")
    while not live.asked:
        page.run("new Promise(requestAnimationFrame)")
    assert live.asked == [[]]
    page.run("document.getElementById('pause').focus()")
    page.press("Enter")
    assert page.run("document.getElementById('pause').getAttribute('aria-pressed')") == "true"


def test_a_paused_page_stands_still_and_goes_on(browser: Browser, live: Shown) -> None:
    page = opened(browser, live, *wrong_talk())
    page.until(f"document.querySelectorAll('{ROWS}').length === 6")
    page.run("document.getElementById('pause').click()")
    live.fed.take(Ended(1.0, 1, CLIENT), Ended(1.0, 1, SERVER))

    page.run("fetch('changes')")  # what was fed is there, and the page has not asked for it
    assert page.run(f"document.querySelectorAll('{ROWS}').length") == 6
    page.run("document.getElementById('pause').click()")
    page.until(f"document.querySelectorAll('{ROWS}').length === 8")


def test_a_thousand_connections_and_a_burst_are_shown_as_a_sample_that_says_so(
    browser: Browser, live: Shown
) -> None:
    page = opened(browser, live, *wrong_talk())
    for number in range(2, 1_002):
        live.fed.take(Opened(1.0, number, f"10.0.0.1:{number}", "10.0.0.2:3000"))
        live.fed.take(Bytes(1.0, number, CLIENT, frame(6, 1) * 10))
    for second in range(2, 4):
        for number in range(2, 1_002):
            live.fed.take(Bytes(second + 0.5, number, CLIENT, frame(6, 2) * 30))

    page.until("document.getElementById('totals').textContent.includes('70,005 frames')")
    page.run("document.getElementById('tab-connections').click()")
    page.until("document.querySelectorAll('#all-connections tr').length === 300")

    assert page.texts("#more-connections") == ["701 other connections not shown."]
    assert "20,000 frames passed too fast to be kept here" in page.texts("#sampled")[0]
    assert page.run(f"document.querySelectorAll('{ROWS}').length") <= 500
    page.run("document.getElementById('connection').value = '500'")
    page.run("document.getElementById('filter').dispatchEvent(new Event('input'))")
    page.until(
        "((rows) => rows.length && rows.every((row) => row.textContent === '500'))"
        "([...document.querySelectorAll('#timeline .n')])"
    )


def test_rules_and_frames_by_hand_say_what_was_wrong_with_them(
    browser: Browser, live: Shown
) -> None:
    page = opened(browser, live, *wrong_talk())

    page.run("document.getElementById('rule').value = 'drip Ack'")
    page.run("document.getElementById('add-rule').requestSubmit()")
    page.until("document.getElementById('rule-said').textContent.includes('did you mean')")
    page.run("document.getElementById('rule').value = 'split random'")
    page.run("document.getElementById('add-rule').requestSubmit()")
    page.until("document.querySelectorAll('#rules li').length === 2")
    assert live.asked[-1:] in ([], [["drop Ack:3", "split random"]])
    page.run("document.getElementById('send-event').value = 'Bytes'")
    page.run("document.getElementById('send-event').dispatchEvent(new Event('change'))")
    page.run("document.querySelector('#send-fields textarea').value = 'zz'")
    page.run("document.getElementById('sender').requestSubmit()")
    page.until("document.getElementById('send-said').textContent.includes('hexadecimal')")


def test_a_watched_server_says_whose_talk_is_shown_and_has_no_faults(browser: Browser) -> None:
    with shown(enter=False, rules=None) as live:
        page = opened(browser, live, *wrong_talk())
        page.until(f"document.querySelectorAll('{ROWS}').length === 6")

        assert page.texts("#notice") == ["This page shows what every member of the room says."]
        assert page.run("document.getElementById('notice').hidden") is False
        assert page.run("document.getElementById('tab-faults').hidden") is True


def test_a_page_whose_command_has_ended_says_so(browser: Browser) -> None:
    with shown(enter=False) as live:
        page = opened(browser, live, *wrong_talk())
    page.until("document.getElementById('notice').textContent.includes('has ended')")


SIZES = {"desktop": (1280, 800, False), "phone": (390, 844, True)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_and_can_be_read(
    browser: Browser, live: Shown, size: str, dark: bool, tmp_path: Path
) -> None:
    page = opened(browser, live, *wrong_talk())
    width, height, phone = SIZES[size]
    page.resize(width, height, phone=phone, dark=dark)
    page.until("document.querySelectorAll('#found .finding').length === 1")
    page.run("document.querySelector('#found button').click()")
    page.until("document.querySelector('.fields')")

    for name in ("frame", "findings", "connections", "coverage", "send", "faults", "save"):
        page.run(f"document.getElementById('tab-{name}').click()")
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), name
        assert page.run("document.documentElement.scrollHeight <= innerHeight"), name
        faint = page.run(f"({CONTRAST})()")
        assert faint == [], name


CONTRAST = """() => {
  const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((each) => {
      const part = each / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parts(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.checkVisibility?.() === false || element.closest(":disabled")) continue;
    const [one, two] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) faint.push(`${element.tagName} ${element.textContent.slice(0, 20)} ${ratio}`);
  }
  return faint;
}"""
"""What has less contrast to its background than 4.5, as WCAG 2 counts it."""
