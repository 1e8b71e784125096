"""Look at the live page while 1,000 members hear 10,000 frames a second through the proxy.

Rule: server, proxy, members and browser are the real programs, each in a process of its own; what
is measured is what somebody at the page waits for.

Layer: beside the other benchmarks: `python -m benchmarks.watch.page`. It needs Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.browser import Page, browsing
from tests.support.raw import login, message

ROW = "#timeline li"
TAKEN_APART = ".fields tbody tr"
CLICK = f"""document.querySelector('#frame').replaceChildren();
[...document.querySelectorAll('{ROW}')].filter(row => row.dataset.id).pop().click()"""
"""Open the last frame that is shown."""
GAPS = """new Promise(done => {
  const gaps = [];
  let last = performance.now(), end = last + 5000;
  function tick() {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
    if (now < end) setTimeout(tick, 0); else done(Math.max(...gaps));
  }
  tick();
})"""
"""The longest time, in ms, in which the page did nothing else, in 5 s."""


@contextmanager
def running(module: str, *words: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A command, and its first lines: two if it has a page. It is told to end with the block."""
    command = [sys.executable, "-m", module, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, [process.stdout.readline() for _ in range(1 + ("--page" in words))]
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.stdout.read()


def searched(page: Page, text: str) -> None:
    """Search, and wait for a row."""
    page.run(
        f"document.querySelector('{ROW}').id = 'old'; document.querySelector('#text').value = "
        f"'{text}'; document.querySelector('#text').dispatchEvent(new Event('input'))"
    )
    page.until(f"!document.querySelector('#old') && document.querySelector('{ROW}') !== null")


def port_of(line: str) -> str:
    """The port of the first address in a line."""
    return re.findall(r":(\d+)", line)[0]


async def talk(port: int, members: int, frames: int) -> None:
    """So many members; some of them speak, so that all hear so many frames a second together."""
    came = 0

    async def hear(reader: asyncio.StreamReader) -> None:
        nonlocal came
        while data := await reader.read(65_536):
            came += len(data)

    pairs = []
    for number in range(members):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(login(f"member-{number}"))
        await reader.readexactly(4)
        pairs.append((reader, writer, asyncio.create_task(hear(reader))))
    print("all are there", flush=True)
    pause, seq, due = members / frames, 1, time.monotonic()
    while True:
        due += pause
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        seq += 1
        writer = pairs[seq % members][1]
        writer.write(message("hello world, how are you today?", seq))


def looked_at(page: Page, seconds: float) -> dict[str, float]:
    """What somebody waits for, in ms: medians, and the worst."""
    clicks, searches = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        page.run(CLICK)
        page.until(f"document.querySelectorAll('{TAKEN_APART}').length > 0")
        clicks.append(1000 * (time.monotonic() - start))
        start = time.monotonic()
        searched(page, "how are")
        searches.append(1000 * (time.monotonic() - start))
        searched(page, "")
    return {
        "looks": len(clicks),
        "click, median": statistics.median(clicks),
        "click, worst": max(clicks),
        "search, median": statistics.median(searches),
        "search, worst": max(searches),
        "longest task of the page": page.run(GAPS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--members", type=int, default=1_000)
    parser.add_argument("--frames", type=int, default=10_000, help="a second, all together")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--talk", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.talk is not None:
        with suppress(KeyboardInterrupt):
            asyncio.run(talk(options.talk, options.members, options.frames))
        return
    settings = ("--quiet", "--no-presence", "--heartbeat", "0")
    with (
        tempfile.TemporaryDirectory() as profile,
        running("refserver", "serve", "0", *settings) as (_, [served]),
        running(
            *("refserver", "proxy", "127.0.0.1:0", "--page", "0"),
            *("--to", f"localhost:{port_of(served)}"),
        ) as (proxy, [forwards, link]),
        browsing(Path(profile)) as browser,
    ):
        page = browser.open(link.removeprefix("page: ").strip())
        load = (f"--members={options.members}", f"--frames={options.frames}")
        with running("benchmarks.watch.page", "--talk", port_of(forwards), *load):
            while passed(page) < 5 * options.members:  # all are there, and have heard something
                time.sleep(0.5)
            before, start = passed(page), time.monotonic()
            waits = looked_at(page, options.seconds)
            rate = (passed(page) - before) / (time.monotonic() - start)
            said = page.run(
                "['totals', 'sampled'].map(at => document.getElementById(at).textContent).join()"
            )
        print(f"{rate:,.0f} frames a second were judged; the page says: {said}")
        for name, value in waits.items():
            print(f"{name}: {value:,.0f}")
        proxy.send_signal(signal.SIGINT)
        assert proxy.stdout is not None
        print(proxy.stdout.read().strip())


def passed(page: Page) -> int:
    """Frames that the judge has had, as the page says."""
    said = str(page.run("document.querySelector('#totals').textContent"))
    return int(re.findall(r"([\d,.\s]+) frames", said)[0].replace(",", ""))


if __name__ == "__main__":
    main()
