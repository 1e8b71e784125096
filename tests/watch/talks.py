"""A short conversation in items, for tests of what carries items."""

from __future__ import annotations

from tests.support.raw import frame, short

from refserver.watch.conversation import Bytes, Did, Ended, How, Item, Missing, Opened, Side

CLIENT, SERVER = Side.CLIENT, Side.SERVER
TICKET = bytes.fromhex("9f3c5a7be1d20846")
LOGIN = frame(1, 1, short("ann") + b"\0\6sesame" + TICKET + (2).to_bytes(8, "big"))
FRESH = frame(1, 1, short("ann") + b"\0\6sesame" + bytes(16))
WELCOME = frame(
    8, 1, short("ann") + TICKET + (2).to_bytes(8, "big") + b"\0\1\0\0\0\x14" + short("srv")
)
MESSAGE = frame(2, 2, b"\0hello")
ACK = frame(4, 2, (3).to_bytes(8, "big"))


def talk(*, at: float = 0.0, number: int = 1, whole: bool = True) -> list[Item]:
    """Ann resumes, says hello and leaves."""
    return [
        Opened(at, number, "10.0.0.1:40001", "10.0.0.2:3000", whole),
        Bytes(at + 0.1, number, CLIENT, LOGIN),
        Bytes(at + 0.2, number, SERVER, WELCOME),
        Bytes(at + 0.3, number, CLIENT, MESSAGE),
        Bytes(at + 0.4, number, SERVER, ACK),
        Ended(at + 0.5, number, CLIENT, How.FIN),
        Ended(at + 0.6, number, SERVER, How.FIN),
    ]


ALL_KINDS: list[Item] = [
    Opened(0.0, 1, "[::1]:4", "localhost:3000", secure=True, only=CLIENT),
    Bytes(0.1, 1, CLIENT, MESSAGE),
    Missing(0.2, 1, SERVER, None),
    Missing(0.2, 1, SERVER, 7),
    Did(0.3, 1, SERVER, "dropped frame 2"),
    Ended(0.4, 1, SERVER, How.RESET),
]


def wrong_talk(number: int = 1) -> list[Item]:
    """Ann says hello, then writes her name as the sender."""
    return [
        Opened(0.0, number, "10.0.0.1:40001", "10.0.0.2:3000"),
        Bytes(0.1, number, CLIENT, FRESH),
        Bytes(0.2, number, SERVER, WELCOME),
        Bytes(0.3, number, CLIENT, MESSAGE),
        Bytes(0.4, number, SERVER, ACK),
        Bytes(0.5, number, CLIENT, frame(2, 3, short("ann") + b"again")),
    ]
