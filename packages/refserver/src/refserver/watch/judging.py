"""The process that judges, as the one that forwards or serves sees it.

Rule: a sender never waits for it. What does not fit into the pipe is dropped and
becomes a gap.

Layer: above `feed` and `watcher`, below the commands.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import click

from ..wording import counted
from .conversation import Item
from .feed import Feed
from .watcher import Wishes

__all__ = ["Judging"]

TIMEOUT = 60.0
"""Seconds in which the judge must take something at the end, before it is given up."""
MOST_ASKED = 1 << 20
"""Bytes of one wish of the page: all rules that are on, of which it bounds the number."""


class Judging:
    """Starts the process, and feeds it. `take` is to be called in a loop.

    `page` is where the live page listens. `on_rules` is called with the rules that are on there.
    """

    def __init__(
        self,
        wishes: Wishes,
        page: socket.socket | None = None,
        on_rules: Callable[[list[str]], None] = lambda rules: None,
    ) -> None:
        self._on_rules = on_rules
        self._control: socket.socket | None = None
        self._asked = b""
        passed: list[socket.socket] = []
        if page is not None:
            self._control, theirs = socket.socketpair()
            self._control.setblocking(False)
            passed = [page, theirs]
            wishes = replace(wishes, page=page.fileno(), control=theirs.fileno())
        command = [sys.executable, "-P", "-m", "refserver.watch.watcher", wishes.to_argument()]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            pass_fds=[each.fileno() for each in passed],
            # A Ctrl-C is for the sender. While the judge starts, it would end it.
            process_group=0,
        )
        for each in passed:
            each.close()
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        self._feed = Feed(self._pipe.fileno())
        self._scheduled = self._watches = False

    def listening(self, host: str, port: int, *, secure: bool) -> None:
        """Say where connections come in, to the page that may send frames there."""
        if self._control is None:
            return
        said = {"host": host, "port": port, "secure": secure}
        with suppress(OSError):
            self._control.send(json.dumps(said).encode() + b"\n")
        asyncio.get_running_loop().add_reader(self._control, self._hear)

    def _hear(self) -> None:
        """The page has wishes, a line each."""
        assert self._control is not None
        try:
            came = self._control.recv(MOST_ASKED)
        except OSError:
            came = b""
        *lines, self._asked = (self._asked + came).split(b"\n")
        for line in lines:
            self._on_rules(json.loads(line)["rules"])
        if not came or len(self._asked) > MOST_ASKED:
            asyncio.get_running_loop().remove_reader(self._control)

    def take(self, item: Item) -> None:
        """Something has passed."""
        self._feed.take(item)
        if not self._scheduled and not self._watches:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        self._scheduled = False
        self._feed.write()
        if self._feed.is_waiting and not self._watches:
            self._watches = True
            asyncio.get_running_loop().add_writer(self._feed.fd, self._again)

    def _again(self) -> None:
        self._feed.write()
        if not self._feed.is_waiting:
            asyncio.get_running_loop().remove_writer(self._feed.fd)
            self._watches = False

    def finish(self) -> int:
        """Give the judge what it was not given yet, and wait for its word: its exit code."""
        with self._process:
            self._hand_over()
        if self._control is not None:
            self._control.close()
        if self._feed.dropped:
            click.echo(
                f"refserver: {counted(self._feed.dropped, 'byte')} passed unjudged: too fast",
                err=True,
            )
        return self._process.returncode

    def _hand_over(self) -> None:
        self._feed.write()
        while self._feed.is_waiting:
            if not select.select([], [self._feed.fd], [], TIMEOUT)[1]:
                click.echo("refserver: the judge does not go on: what it has is lost", err=True)
                self._process.kill()
                break
            self._feed.write()
        os.set_blocking(self._feed.fd, True)
        self._pipe.close()

    def give_up(self) -> None:
        """There is nothing to be judged: it could not begin."""
        self._process.kill()
        self._pipe.close()
        self._process.wait()
        if self._control is not None:
            self._control.close()
