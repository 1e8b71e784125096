"""The pictures of the live page in docs/watching.md: `python -m tests.watch.pictures`.

Rule: they show the page itself in Chromium, with a talk that never changes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.support.browser import Page, browsing
from tests.support.raw import frame, short
from tests.watch.showing import shown
from tests.watch.talks import CLIENT, FRESH, SERVER, WELCOME

from refserver.watch.conversation import Bytes, Item, Opened

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
RULES = ["drop Ack:3", "split random", "latency 0.05"]


def talk() -> list[Item]:
    """Ann and Bob talk; Bob's client fills in his name as the sender."""
    items: list[Item] = [
        Opened(0.0, 1, "127.0.0.1:40001", "localhost:3000"),
        Bytes(0.012, 1, CLIENT, FRESH),
        Bytes(0.013, 1, SERVER, WELCOME),
    ]
    for seq, content in enumerate(("hello?", "anybody there?", "I try again"), 2):
        said = frame(2, seq, b"\0" + content.encode())
        items.append(Bytes(seq * 0.9, 1, CLIENT, said))
        items.append(Bytes(seq * 0.9 + 0.001, 1, SERVER, frame(4, seq, (seq + 1).to_bytes(8))))
    welcome = short("bob") + bytes([7] * 8) + (6).to_bytes(8) + b"\0\1\0\0\0\x14" + short("srv")
    return [
        *items,
        Opened(4.0, 2, "127.0.0.1:40007", "localhost:3000"),
        Bytes(4.012, 2, CLIENT, frame(1, 1, short("bob") + bytes(18))),
        Bytes(4.013, 2, SERVER, frame(8, 1, welcome)),
        Bytes(4.013, 1, SERVER, frame(9, 6, short("bob"))),
        Bytes(5.25, 2, CLIENT, frame(2, 2, short("bob") + b"here I am")),
        Bytes(5.251, 2, SERVER, frame(5, 2, b"\0\5" + short("the sender is to be empty"))),
        Bytes(6.0, 1, SERVER, frame(6, 1)),
        Bytes(6.001, 1, CLIENT, frame(7, 1)),
    ]


def main() -> None:
    """Write them."""
    with (
        tempfile.TemporaryDirectory() as profile,
        shown(enter=False, rules=RULES) as live,
        browsing(Path(profile)) as browser,
    ):
        live.fed.take(*talk())
        page: Page = browser.open(live.link)
        page.until("document.querySelectorAll('#found .finding').length === 1")
        page.resize(1000, 560)
        page.run("document.querySelector('#found button').click()")
        page.until("document.querySelector('.fields')")
        page.picture(FOLDER / "live-page.png")
        page.resize(390, 700, phone=True, dark=True)
        page.run("document.getElementById('tab-faults').click()")
        page.run("document.querySelector('#rules input:last-of-type').click()")
        page.until("document.querySelectorAll('#rules input:checked').length === 2")
        page.picture(FOLDER / "live-faults.png")


if __name__ == "__main__":
    main()
