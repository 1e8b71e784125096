"""The deadlines of one connection.

Rule: it never acts: it returns what is due.

It gets events and times. The session decides what to do then.

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
    """The results of `Deadlines.expired`."""

    WORK = "the rate limit, or a login's delay, is over"
    WRITE_TIMEOUT = "the client has taken no byte for too long"
    REJECT = "a refused credential may be answered"
    FRAME_TIMEOUT = "a frame was begun and is not complete"
    LOGIN_TIMEOUT = "there was no login in time"
    PING = "nothing has come for one heartbeat"
    SILENCE_TIMEOUT = "nothing has come for two heartbeats"


class Deadlines:
    """The deadlines of one connection. Times are in seconds. A deadline that does not run is
    `NEVER`.

    It is the only place with times: each attribute is a deadline of docs/protocol.md, section 9,
    or the reason that it does not run.
    """

    def __init__(self, settings: Settings, now: float) -> None:
        self.work_at = NEVER  # when the next frame may be validated
        self.reject_at = NEVER  # when to send UNAUTHORIZED
        self.write_timeout = settings.write_timeout
        self._blocked_since = NEVER  # since when the socket takes no bytes
        self._paused_since = NEVER  # since when the server does not read
        self._frame_timeout = settings.frame_timeout
        self._frame_began = NEVER
        self._frame_offset = 0  # the position in the stream where this frame begins
        self.login_by = now + settings.login_timeout
        self._heartbeat = settings.heartbeat or NEVER
        self.last_byte = now
        self.ping_sent = False  # in this silence

    # ------------------------------------------------------------- what happens

    def received(self, now: float) -> None:
        """A byte was received: the silence ends. EP-9.1-3."""
        self.last_byte = now
        self.ping_sent = False

    def frame_pending(self, offset: int, now: float) -> None:
        """The frame at this position of the stream has begun, and is not whole."""
        if self._frame_began == NEVER or self._frame_offset != offset:
            self._frame_began = now
            self._frame_offset = offset

    def no_frame_pending(self) -> None:
        """No frame waits for more bytes of the client."""
        self._frame_began = NEVER

    def reading_paused(self, now: float) -> None:
        """Reading is paused, so the deadlines for the client do not run. EP-9.1-6."""
        self._paused_since = min(self._paused_since, now)

    def reading_resumed(self, now: float) -> None:
        """The server reads again."""
        if self._paused_since == NEVER:
            return
        pause = now - self._paused_since
        self.last_byte += pause
        self.login_by += pause
        self._frame_began += pause
        self._paused_since = NEVER

    def end_of_input(self) -> None:
        """The client sends no more, so its deadlines do not run any more."""
        self._paused_since = min(self._paused_since, self.last_byte)

    def write_blocked(self, now: float) -> None:
        """The socket takes no bytes now, or has just taken some."""
        self._blocked_since = now

    def write_unblocked(self) -> None:
        """The socket takes bytes again."""
        self._blocked_since = NEVER

    # ------------------------------------------------------------- what is due

    def next_due(self, state: State) -> float:
        """When the next deadline is due, if no event happens before."""
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
            return self.login_by
        return self.last_byte + (2 if self.ping_sent else 1) * self._heartbeat

    def expired(self, state: State, now: float) -> Iterator[Due]:
        """The deadlines that are due, each once. At most one of them ends the connection."""
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
        """The deadline that is due because the client is silent."""
        silence = now - self.last_byte
        if now >= self._frame_began + self._frame_timeout:
            yield Due.FRAME_TIMEOUT
        elif state != MEMBER:
            if now >= self.login_by:
                yield Due.LOGIN_TIMEOUT
        elif silence >= 2 * self._heartbeat:
            yield Due.SILENCE_TIMEOUT
        elif silence >= self._heartbeat and not self.ping_sent:
            self.ping_sent = True
            yield Due.PING
