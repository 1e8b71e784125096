"""The exceptions of this package, and the error codes of the protocol.

Rule: the class of an exception says which side made the error, `code` is what to send to the peer,
and the details are attributes. No message contains bytes of the peer. Any other exception is a bug.

Layer: the bottom layer, beside `limits`. Imports nothing of this package.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "ConnectionLostError",
    "ErrorCode",
    "EventCodecError",
    "LocalProtocolError",
    "PeerError",
    "RemoteProtocolError",
    "counted",
]


def counted(number: int, noun: str) -> str:
    """A number and its noun, for a message.

    >>> counted(1, "byte"), counted(2, "byte")
    ('1 byte', '2 bytes')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


class ErrorCode(IntEnum):
    """The numbers that an `Error` event carries.

    Each number has a `meaning`, one sentence for people. A `fatal` error ends the connection, so it
    always has seq 0.

    >>> ErrorCode.MALFORMED.fatal, ErrorCode.USER_TAKEN.fatal
    (True, False)
    """

    MALFORMED = 1
    FRAME_TOO_LARGE = 2
    UNSUPPORTED_VERSION = 3
    UNKNOWN_TYPE = 4
    UNEXPECTED_EVENT = 5
    LOGIN_REQUIRED = 10
    ALREADY_LOGGED_IN = 11
    UNAUTHORIZED = 12
    USER_TAKEN = 13
    BAD_USER = 14
    HISTORY_GONE = 15
    SLOW_CONSUMER = 21
    TIMEOUT = 22
    SERVER_FULL = 23
    SHUTTING_DOWN = 24
    UNAVAILABLE = 25
    INTERNAL = 30

    @property
    def fatal(self) -> bool:
        """True if the error ends the connection."""
        return _ABOUT[self][0]

    @property
    def meaning(self) -> str:
        """One sentence for people."""
        return _ABOUT[self][1]

    @classmethod
    def known(cls, number: int) -> ErrorCode | None:
        """The code of this number, or None where this version does not know it."""
        try:
            return cls(number)
        except ValueError:
            return None


_ABOUT = {
    ErrorCode.MALFORMED: (True, "the bytes are not a frame of this protocol"),
    ErrorCode.FRAME_TOO_LARGE: (True, "the frame is longer than its reader accepts"),
    ErrorCode.UNSUPPORTED_VERSION: (True, "the reader does not speak this version"),
    ErrorCode.UNKNOWN_TYPE: (False, "the server does not know this type of event"),
    ErrorCode.UNEXPECTED_EVENT: (False, "a client may not send this event, or not with this field"),
    ErrorCode.LOGIN_REQUIRED: (False, "log in first"),
    ErrorCode.ALREADY_LOGGED_IN: (False, "this connection is logged in already"),
    ErrorCode.UNAUTHORIZED: (True, "the credential was not accepted"),
    ErrorCode.USER_TAKEN: (False, "somebody has this name"),
    ErrorCode.BAD_USER: (False, "this name is not allowed"),
    ErrorCode.HISTORY_GONE: (False, "the session cannot be resumed from there; log in afresh"),
    ErrorCode.SLOW_CONSUMER: (True, "the client read too slowly"),
    ErrorCode.TIMEOUT: (True, "the client was silent for too long"),
    ErrorCode.SERVER_FULL: (True, "the server takes no more connections"),
    ErrorCode.SHUTTING_DOWN: (True, "the server stops"),
    ErrorCode.UNAVAILABLE: (True, "the server cannot reach the room"),
    ErrorCode.INTERNAL: (True, "the server failed; it is not the client's fault"),
}


class EventCodecError(Exception):
    """The base class of all exceptions of this package."""


class LocalProtocolError(EventCodecError):
    """The caller made an error. Nothing was sent and no state has changed.

    `reason` describes the error. `field` is the name of the wrong field, or None.
    """

    def __init__(self, reason: str, *, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field

    def __str__(self) -> str:
        return self.reason if self.field is None else f"{self.field}: {self.reason}"


class RemoteProtocolError(EventCodecError):
    """The peer broke a rule of the protocol.

    `code` is the code to send to the peer. `reason` describes the error. `seq` is the number of the
    wrong frame, or 0 if the connection cannot continue. `field` is the name of the wrong field, or
    None. `offset` is the position of the error in bytes: in the stream for a decoder or a
    connection, in the frame for `decode` and for the `decode_error` of an application event.
    """

    def __init__(
        self,
        code: ErrorCode,
        reason: str,
        *,
        field: str | None = None,
        offset: int = 0,
        seq: int = 0,
    ) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.field = field
        self.offset = offset
        self.seq = seq

    def __str__(self) -> str:
        place = (
            f"byte {self.offset}" if self.field is None else f"{self.field} at byte {self.offset}"
        )
        return f"{self.code.name}: {place}: {self.reason}"


class PeerError(EventCodecError):
    """The peer ended the connection with an `Error` of seq 0.

    `code` is its number, as an `ErrorCode` if it is known. `text` is its explanation for people; it
    comes from the peer, so escape it before you print it.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        name = self.code.name if isinstance(self.code, ErrorCode) else f"error {self.code}"
        return f"the peer ended the connection: {name}"


class ConnectionLostError(EventCodecError):
    """The stream ended without a clean end: no Ack of a Logout, no Error.

    Requests without a reply may or may not have had their effect.
    """
