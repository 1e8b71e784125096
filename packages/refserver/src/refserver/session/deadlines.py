"""What is due for one connection, and when.

Rule: pure. Events and the time go in, what is due comes out; what follows from it is the
session's business.

Layer: above `state`, below `session`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from .context import Settings
from .state import State

__all__ = ["NEVER", "Deadlines", "Due"]

NEVER = float("inf")

DRAINING, MEMBER, REJECTED = State.DRAINING, State.MEMBER, State.REJECTED


class Due(Enum):
    """What `Deadlines.expired` can say."""

    WORK = "the rate limit, or a login's delay, is over"
    WRITE_TIMEOUT = "the client has taken no byte for too long"
    REJECT = "a refused credential may be answered"
    FRAME_TIMEOUT = "a frame was begun and is not complete"
    LOGIN_TIMEOUT = "there was no login in time"
    PING = "nothing has come for one heartbeat"
    SILENCE_TIMEOUT = "nothing has come for two heartbeats"


class Deadlines:
    """The clocks of one connection. Times are in seconds; those that do not run are `NEVER`.

    It has more than fifteen attributes for it is the only place that has any time: each is
    one clock of docs/protocol.md, section 9, or what stops it.
    """

    def __init__(self, settings: Settings, now: float) -> None:
        self.work_at = NEVER  # when the next frame may be validated
        self.reject_at = NEVER  # when to send UNAUTHORIZED
        self.write_timeout = settings.write_timeout
        self._blocked_since = NEVER  # since when the socket takes nothing
        self._paused_since = NEVER  # since when the server does not read
        self._frame_timeout = settings.frame_timeout
        self._frame_began = NEVER
        self._frame_offset = 0  # where in the stream that frame begins
        self._login_by = now + settings.login_timeout
        self._heartbeat = settings.heartbeat or NEVER
        self.last_byte = now
        self.ping_sent = False  # in this silence

    # ------------------------------------------------------------- what happens

    def received(self, now: float) -> None:
        """A byte came: the silence ends. EP-9.1-3."""
        self.last_byte = now
        self.ping_sent = False

    def frame_pending(self, offset: int, now: float) -> None:
        """The frame at this place of the stream has begun, and is not complete."""
        if self._frame_began == NEVER or self._frame_offset != offset:
            self._frame_began = now
            self._frame_offset = offset

    def no_frame_pending(self) -> None:
        """There is no piece of a frame that only the client could complete."""
        self._frame_began = NEVER

    def reading_paused(self, now: float) -> None:
        """The server reads no more; the clocks that judge the client stand still. EP-9.1-6."""
        self._paused_since = min(self._paused_since, now)

    def reading_resumed(self, now: float) -> None:
        """The server reads again."""
        if self._paused_since == NEVER:
            return
        pause = now - self._paused_since
        self.last_byte += pause
        self._login_by += pause
        self._frame_began += pause
        self._paused_since = NEVER

    def end_of_input(self) -> None:
        """Nothing more can come from the client: no clock judges it any more."""
        self._paused_since = min(self._paused_since, self.last_byte)

    def write_blocked(self, now: float) -> None:
        """The socket takes nothing more for the moment, or has just taken something."""
        self._blocked_since = now

    def write_unblocked(self) -> None:
        """The socket takes bytes again."""
        self._blocked_since = NEVER

    # ------------------------------------------------------------- what is due

    def next_due(self, state: State) -> float:
        """When something is due, if nothing happens before."""
        due = min(self.work_at, self._blocked_since + self.write_timeout)
        if state >= DRAINING:
            return due
        if state == REJECTED:
            return min(due, self.reject_at)
        if self._paused_since != NEVER:
            return due
        return min(due, self._frame_began + self._frame_timeout, self._silent_until(state))

    def _silent_until(self, state: State) -> float:
        if state != MEMBER:
            return self._login_by
        return self.last_byte + (2 if self.ping_sent else 1) * self._heartbeat

    def expired(self, state: State, now: float) -> Iterator[Due]:
        """What is due by now, at most one of those that end the connection; each once."""
        if now >= self.work_at:
            self.work_at = NEVER
            yield Due.WORK
        if now >= self._blocked_since + self.write_timeout:
            self._blocked_since = now
            yield Due.WRITE_TIMEOUT
            return
        if state >= DRAINING:
            return
        if state == REJECTED:
            if now >= self.reject_at:
                yield Due.REJECT
        elif self._paused_since == NEVER:
            yield from self.check_silence(state, now)

    def check_silence(self, state: State, now: float) -> Iterator[Due]:
        """What is due because the client has not sent what it has to send."""
        silence = now - self.last_byte
        if now >= self._frame_began + self._frame_timeout:
            yield Due.FRAME_TIMEOUT
        elif state != MEMBER:
            if now >= self._login_by:
                yield Due.LOGIN_TIMEOUT
        elif silence >= 2 * self._heartbeat:
            yield Due.SILENCE_TIMEOUT
        elif silence >= self._heartbeat and not self.ping_sent:
            self.ping_sent = True
            yield Due.PING
