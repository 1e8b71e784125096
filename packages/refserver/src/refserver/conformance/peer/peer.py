"""One attempt of a case: the scripted server, and the client's command that it tests.

Rule: what a client has seen is what its command says on stdout. What must not come is
disproved by the Pong to a Ping behind it, or by the end that the client tells.

Layer: above `script`, `process` and `lines`, below the cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ...readiness import READ
from .. import raw
from ..attempt import Setting
from ..interrupts import held
from ..model import Direction
from ..raw import Frame
from ..segmentation import Segmentation
from ..suite import CaseFailed, UsageError
from .lines import END, Line, differs, line_of, parsed, told
from .process import Process, Program
from .script import TICKET, Script

__all__ = ["KIT", "PROBE", "Peer", "opened", "placed"]

KIT = "kit"
"""The member whose messages are orders."""
PROBE = 0x5EED
"""The seq of the Ping that proves that a client goes on."""


class Peer(Script):
    """The scripted server, and one running client."""

    def __init__(
        self,
        setting: Setting,
        segmentation: Segmentation,
        seed: str,
        command: Sequence[str],
        start: Callable[[Sequence[str]], Program] = Process,
    ) -> None:
        super().__init__(setting, segmentation, seed)
        try:
            self.process = start(placed(command, *self.address))
        except BaseException:
            super().close()
            raise
        self.step("command", Direction.NOTE, note="started")

    def close(self) -> None:
        super().close()
        self.process.end()

    def wait(self, deadline: float, fd: int, events: int) -> bool:
        ready: bool | None = False
        while ready is False:
            # Whose stdout has ended is ending: it will not do much more.
            last = deadline if self.process.talking else min(deadline, self.soon())
            ready = self.process.wait(last, fd, events)
        return bool(ready)

    def why_not(self, otherwise: str) -> str:
        status = None if self.process.talking else self.process.exit_code(self.deadline())
        ended = otherwise if status is None else f"the client's command ended with status {status}"
        return ended + self._errors()

    def _errors(self) -> str:
        said = self.process.errors.decode("utf-8", "replace").strip()
        return f"; its stderr ends: {said[-300:]!a}" if said else ""

    # ------------------------------------------------------------- told and shown

    def tell(self, *frames: Frame) -> None:
        """Send, and await what the client says of each."""
        self.send(*frames)
        self.shows(*frames)

    def order(self, text: str) -> None:
        """Give an order, and await that the client has seen it."""
        self.tell(self.message(KIT, text))

    def goes_on_or_refuses(self, frame: Frame) -> bool:
        """What was sent may be told, or ended with as a fault: whether the client goes on."""
        line = self.line()
        if line["event"] == END:
            self.check(line.get("how") == "fault", ("it goes on", "it tells a fault"), told(line))
            return False
        self.check(not differs(line, line_of(frame)), told(line_of(frame)), told(line))
        return True

    def expect_silence(self) -> None:
        """The client is there, and has sent and said nothing but what was awaited."""
        self.send(raw.ping(PROBE))
        self.answers(PROBE)
        for line in map(parsed, iter(self.process.next_line, None)):
            self.check(_is_passed_over(line), "nothing more to be told", told(line))

    def line(self) -> Line:
        """Await the next line; what a client need not tell is passed over."""
        deadline = self.deadline()
        while True:
            self.check_time()
            while (data := self.process.next_line()) is None:
                if not self.process.talking or self.process.wait(deadline) is None:
                    raise self.fail("a line on stdout", self.why_not("nothing came in time"))
            line = parsed(data)
            self.step("stdout", Direction.NOTE, note=told(line))
            if not _is_passed_over(line):
                return line

    def _line_for(self, event: str) -> Line:
        line = self.line()
        # A client may ask by itself whether the server is there, and tell the Pong.
        while line["event"] == "Pong" != event:
            line = self.line()
        return line

    def shows(self, *frames: Frame) -> None:
        """Await what the client says of these frames, in this order."""
        for frame in frames:
            self.says(line_of(frame))

    def says(self, wanted: Line) -> Line:
        """Await this line; it may say more."""
        try:
            line = self._line_for(wanted["event"])
        except CaseFailed as failure:
            raise CaseFailed((f"on stdout: {told(wanted)}",), failure.actual) from failure
        self.check(not differs(line, wanted), f"on stdout: {told(wanted)}", told(line))
        return line

    # ------------------------------------------------------------- the end

    def refuses(
        self,
        code: int,
        *frames: Frame | bytes,
        shows: Sequence[Frame] = (),
        probe: bool = True,
    ) -> None:
        """Send what breaks the protocol: the client must end the connection.

        A Ping behind it shows at once a client that goes on; not where a frame is cut.
        `shows` are the good frames before the fault.
        """
        self.send(*frames, *([raw.ping(PROBE)] if probe else []))
        deadline = self.deadline()
        while not self.connection.ended:
            frame = self.connection.next(deadline)
            is_probe = frame is not None and (frame.type, frame.seq) == (raw.PONG, PROBE)
            if is_probe or (frame is None and not self.connection.ended):
                raise self.fail("the client ends the connection", "it goes on")
        self.shows(*shows)
        self.ends("fault", code=code)

    def leaves(self) -> None:
        """Let the client log out, and await its clean end."""
        self.order("logout")
        self.tell(self.ack(self.asked(raw.LOGOUT)))
        self.finish()
        self.ends("clean")

    def ends(self, *how: str, code: int = 0) -> None:
        """Await that the client tells the end of its connection, closes it, and is done."""
        self.tells_end(*how, code=code)
        deadline = self.deadline()
        while not self.connection.ended and self.connection.next(deadline) is not None:
            pass
        self.check(
            bool(self.connection.ended), "the client closes the connection", "it keeps it open"
        )
        again = f"it connected again after its end ({' or '.join(how)}); only a loss resumes"
        self.check(not self.comes_back(), "the client's command ends", again)
        status = self.process.exit_code(self.deadline())
        actual = "it runs on" if status is None else f"status {status}{self._errors()}"
        self.check(status == 0, "the client's command ends with status 0", actual)

    def comes_back(self) -> bool:
        """Whether the client connects again, before its command ends."""
        deadline = self.deadline()
        came: bool | None = False
        while self.process.talking and came is False:
            came = self.process.wait(deadline, self.listener.fileno(), READ)
        return bool(came)

    def tells_end(self, *how: str, code: int = 0) -> None:
        """Await the line that tells how the connection ended."""
        with_code = f", code {code}" if code else ""
        wanted = tuple(f"the client tells its end: {each}{with_code}" for each in how)
        try:
            line = self._line_for(END)
        except CaseFailed as failure:
            raise CaseFailed(wanted, failure.actual) from failure
        fits = line["event"] == END and line.get("how") in how
        # A client need not know a code for a server's fault; a wrong one it may not tell.
        if code and (line.get("code") or "explained" in how):
            fits = fits and line.get("code") == code
        self.check(fits, wanted, told(line))

    def ticket_forms(self) -> list[bytes]:
        """How the ticket may be written, in lower case."""
        return [str(TICKET).encode(), f"{TICKET:x}".encode(), TICKET.to_bytes(8, "big").lower()]


@contextmanager
def opened(
    setting: Setting,
    segmentation: Segmentation,
    seed: str,
    command: Sequence[str],
    start: Callable[[Sequence[str]], Program] = Process,
) -> Iterator[Peer]:
    """A peer that is closed at the end, its client too, whatever signal comes when."""
    peer = None
    try:
        with held():
            peer = Peer(setting, segmentation, seed, command, start)
        yield peer
    finally:
        with held():
            if peer is not None:
                peer.close()


def placed(command: Sequence[str], host: str, port: int) -> list[str]:
    """The command with the server's address in it. Raises UsageError without a {port}."""
    if not any("{port}" in word for word in command):
        raise UsageError("the client's command must have {port} in it, and may have {host}")
    return [word.replace("{host}", host).replace("{port}", str(port)) for word in command]


def _is_passed_over(line: Line) -> bool:
    return line["event"] in ("Ping", "Refused") or (
        line["event"] == "Error" and str(line.get("seq")) == "0"
    )
