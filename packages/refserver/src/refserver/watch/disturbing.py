"""Rules by which a proxy disturbs a conversation, and what they make of its bytes.

Rule: what happens depends on the rules, the seed and the bytes, and on nothing else. This module
does no I/O: it says what goes on, when, and in words what was done.

Layer: above `cutting`, below `proxy`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

from ..arguments import near
from .conversation import Side
from .cutting import HEADER, Cutter, Frame
from .reading import NAMES, named

__all__ = ["VERBS", "Action", "Disturber", "End", "Rule", "RuleError", "parsed", "rules_in"]

AT_BYTE = ("cut-at", "reset", "half-close", "stall")
KINDS = {
    "length": "changed the length of",
    "short": "wrote 11 as the length of",
    "version": "changed the version of",
    "old": "wrote 0 as the version of",
    "reserved": "changed the reserved of",
    "type": "changed the type of",
    "seq": "changed the seq of",
    "wide": "added 2^32 to the seq of",
    "zero": "wrote 0 as the seq of",
    "position": "changed the position of",
    "far": "moved by 2^62 the position of",
    "limit": "wrote 4096 as the max_frame of",
    "few": "wrote 100 as the max_frame of",
    "most": "wrote 2^32 - 1 as the max_frame of",
    "ticket": "changed the ticket of",
    "user": "changed the name of",
    "code": "wrote an unknown code into",
    "fatal": "wrote the code of TIMEOUT into",
    "utf8": "wrote bytes that are not UTF-8 at the end of",
    "cut": "wrote a cut character at the end of",
    "surrogate": "wrote a surrogate at the end of",
    "overlong": "wrote an overlong character at the end of",
    "beyond": "wrote a character above U+10FFFF at the end of",
    "rare": "wrote rare characters at the end of",
    "long": "wrote a name of 200 bytes into",
    "name": "wrote bytes that are not UTF-8 as the name of",
    "event": "wrote another application type into",
    "last": "changed the last byte of",
    "body": "changed a bit of the body of",
    "over": "added a byte at the end of",
    "less": "took the last byte of",
    "empty": "took the body of",
    "ack": "wrote an Ack in place of",
    "pong": "wrote a Pong in place of",
    "welcome": "wrote the Welcome again in place of",
    "large": "wrote a frame that is too long in place of",
}
"""What can be changed, and how that is told."""
INSERTED = {
    "ping": (0x06, b""),
    "unknown": (0x0B, b"inserted" * 40),
    "pong": (0x07, b""),
    "ack": (0x04, bytes(8)),
    "error": (0x05, b"\0\x0a\0"),
    "login": (0x01, b"\3bob" + bytes(18)),
    "large": (0x0B, b""),
    "longest": (0x0B, b""),
    "unnumbered": (0x0B, b""),
    "same": (0x06, b""),
    "echo": (0x06, b""),
    "twins": (0x06, b""),
    "pings": (0x06, b""),
    "next": (0x0B, b""),
    "padded": (0x06, b"now"),
    "nothing": (0x0B, b""),
    "stub": (0x0B, b""),
    "begun": (0x0B, b""),
    "end": (0x05, b"\0\x16\0"),
    "end-over": (0x05, b"\0\x16\0\0"),
    "end-utf8": (0x05, b"\0\x16\1\xff"),
}
"""The type and the body of what can be inserted. The length of a large frame is one more than what
a client accepts, and that of the longest is accepted. An unnumbered frame and an end have seq 0.
The same Ping has the seq of the frame beside it, an echo that of the client's latest Ping, twins
have one seq, the next has the seq of the next entry. A padded Ping has a body. Of a stub with the
length 11, and of what is begun and too long, only the beginning is sent, and of nothing a length
of 0. An end has the code of TIMEOUT, `end-N` has code N."""
BEGINNINGS = {"nothing": 4, "stub": 4, "begun": 16}
"""Bytes that are sent of what is only begun."""
PINGS = 1_100
"""Pings that are inserted at once."""
TEXTS = {
    "cut": b"\xc3",
    "surrogate": b"\xed\xa0\x80",
    "overlong": b"\xc1\xa1",
    "beyond": b"\xf4\x90\x80\x80",
    "rare": "\uffff\U0001f600\U0010ffff\0".encode(),
}
"""What is written at the end of a Message; the last of them is right."""
MAX_FRAMES = {"limit": 4096, "few": 100, "most": 2**32 - 1}
CODES = {"code": 0x9267, "fatal": 22}
FAR = 1 << 62
VERBS = {
    "cut-at": "SIDE:BYTE: close the connection after this number of bytes of one side",
    "reset": "SIDE:BYTE: reset the connection after this number of bytes of one side",
    "half-close": "SIDE:BYTE: end the stream of one side after this number of bytes; the stream of "
    "the other side continues",
    "stall": "SIDE:BYTE@SECONDS: after this number of bytes, hold the stream of one side for this "
    "time",
    "split": "bytewise|random: forward the bytes in small chunks",
    "latency": "SECONDS: delay each byte for this time, in both directions",
    "drop": "FRAMES: do not forward these frames",
    "duplicate": "FRAMES: forward each of these frames twice",
    "reorder": "FRAMES: forward each of these frames after the next frame of its side",
    "delay": "FRAMES@SECONDS: delay each of these frames, and what comes after it, for this time",
    "corrupt": f"KIND@FRAMES: change these frames; KIND is one of {', '.join(KINDS)}",
    "insert": "KIND@FRAMES: send the client a frame that the server did not send, after each of "
    f"these frames of the server; KIND is one of {', '.join(INSERTED)}, or end-N with a code N. "
    "The server does not get the Pong to such a ping",
    "insert-before": "KIND@FRAMES: the same, before each of these frames of the server",
    "lose-reply": "N: forward the request of the Nth reply, and reset the connection in place of "
    "the reply",
}
"""What can be done, and how it is written."""
ACCEPTED = 4096 + 255
"""The greatest length that a client accepts of a server with the least `max_frame`."""
MOST_MADE = 1 << 25
"""Bytes of a frame that is made. A client that accepts more is sent none of its greatest length."""
PAUSE = 2.0
"""Seconds that what is behind an inserted Ping waits at most: its Pong passes before it."""
INSERTS = ("insert", "insert-before")
REPLIES = (0x04, 0x05, 0x07, 0x08)
FACTS = (0x02, 0x09, 0x0A)
NAMED = frozenset({0x02, 0x08, 0x09, 0x0A})
"""Types of a server that begin with a name, beside the application events."""
_END = re.compile(r"end-\d{1,4}")
_FRAMES = re.compile(
    r"(?:(?P<side>client|server)\.)?(?P<name>[A-Za-z]+|0x[0-9A-Fa-f]{2})"
    r"(?::(?P<number>[1-9]\d*)|\*(?P<first>[1-9]\d*)|%(?P<chance>[01]?(?:\.\d+)?))?"
)


class RuleError(ValueError):
    """A rule that makes no sense; the message says why in one line."""


class End(NamedTuple):
    """How a connection is ended: `close`, `reset`, or `half-close` of one side's stream."""

    how: str


class Action(NamedTuple):
    """What goes on: bytes, or an end, `delay` seconds behind what is before it."""

    delay: float
    what: bytes | End


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to do. Which fields count depends on the verb."""

    verb: str
    side: Side | None = None
    byte: int = 0
    seconds: float = 0.0
    kind: str = ""
    types: range | None = None
    """The frames' types; None: any."""
    is_resumed: bool = False
    """Only a Welcome to a resume."""
    number: int = 0
    """Only the frame with this number, counted from 1 on each connection; 0: any number."""
    first: int = 0
    """Only so many frames from the beginning of a connection; 0: all."""
    chance: float = 1.0
    text: str = field(default="", compare=False)
    """As it was written: verb and value."""


def parsed(verb: str, value: str) -> Rule:
    """The rule that an option says. Raises RuleError.

    >>> rule = parsed("drop", "Ack:3")
    >>> rule.types, rule.number
    (range(4, 5), 3)
    """
    if verb not in VERBS:
        raise RuleError(f"no rule {verb!r}{near(verb, VERBS)}")
    try:
        return replace(_parsed(verb, value), text=f"{verb} {value}")
    except ValueError as error:
        reason = str(error) if isinstance(error, RuleError) else f"not {VERBS[verb]}"
        raise RuleError(f"{verb} {value}: {reason}") from None


def _parsed(verb: str, value: str) -> Rule:
    if verb == "split":
        if value not in ("bytewise", "random"):
            raise ValueError
        return Rule(verb, kind=value)
    if verb == "latency":
        return Rule(verb, seconds=_seconds(value))
    if verb == "lose-reply":
        if int(value) < 1:
            raise ValueError
        return Rule(verb, number=int(value))
    if verb in AT_BYTE:
        place, at, seconds = value.partition("@")
        side, _, byte = place.partition(":")
        if bool(at) != (verb == "stall") or not byte.isdecimal():
            raise ValueError
        return Rule(verb, Side(side), int(byte), _seconds(seconds) if at else 0.0)
    if verb == "delay":
        frames, _, seconds = value.partition("@")
        return _of_frames(verb, frames, seconds=_seconds(seconds))
    if verb in ("corrupt", *INSERTS):
        kind, _, frames = value.partition("@")
        kinds = tuple(KINDS if verb == "corrupt" else INSERTED)
        is_end = verb in INSERTS and _END.fullmatch(kind)
        if kind not in kinds and not is_end:
            raise RuleError(f"no kind {kind!r}{near(kind, kinds)}")
        rule = _of_frames(verb, frames or "any", kind=kind)
        if verb == "corrupt":
            return rule
        if rule.side is Side.CLIENT:
            raise RuleError("only the client gets inserted frames, beside a frame of the server")
        return replace(rule, side=Side.SERVER)
    return _of_frames(verb, value)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < 86_400:
        raise ValueError
    return seconds


def _of_frames(verb: str, frames: str, *, seconds: float = 0.0, kind: str = "") -> Rule:
    found = _FRAMES.fullmatch(frames)
    if found is None:
        raise RuleError("FRAMES is a type with a :NUMBER, *COUNT or %CHANCE, such as Ack:3")
    name = found["name"]
    known = {each.lower(): range(type, type + 1) for type, each in enumerate(NAMES) if each}
    known |= {"resumed": range(0x08, 0x09), "application": range(0x80, 0x100)}
    if name.startswith("0x"):
        types: range | None = range(int(name, 16), int(name, 16) + 1)
    elif name.lower() == "any":
        types = None
    elif name.lower() in known:
        types = known[name.lower()]
    else:
        raise RuleError(f"no frame {name!r}{near(name, (*NAMES[1:], 'Resumed', 'Application'))}")
    chance = float(found["chance"]) if found["chance"] else 1.0
    return Rule(
        verb,
        None if found["side"] is None else Side(found["side"]),
        seconds=seconds,
        kind=kind,
        types=types,
        is_resumed=name.lower() == "resumed",
        number=int(found["number"] or 0),
        first=int(found["first"] or 0),
        chance=chance,
    )


def rules_in(text: str) -> list[Rule]:
    """The rules of a file: a verb and its value in each line; `#` begins a comment.

    Raises RuleError, with the line.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        verb, _, value = line.partition("#")[0].strip().partition(" ")
        if not verb:
            continue
        try:
            found.append(parsed(verb, value.strip()))
        except RuleError as error:
            raise RuleError(f"line {number}: {error}") from None
    return found


class Disturber:
    """Disturbs one connection.

    `take` and `eof` say what goes on to the other side. `did` has in words what was done since
    it was read last, with the side whose stream it was. `acted` has the rules by which anything
    was.
    `is_answered` is set when the Pong to an inserted Ping has come: what waits for it may go on.

    It has more than fifteen attributes: each verb keeps what it needs to know of the connection.
    """

    def __init__(self, rules: Iterable[Rule], rng: Random) -> None:
        rules = tuple(rules)
        self.did: list[tuple[Side, str]] = []
        self.acted: set[Rule] = set()
        self.is_answered = False
        self._rng = rng
        self._by_byte = [rule for rule in rules if rule.verb in AT_BYTE]
        self._by_frame = [rule for rule in rules if rule.verb not in (*AT_BYTE, "split", "latency")]
        self._split = next((rule for rule in rules if rule.verb == "split"), None)
        self._latency = sum(rule.seconds for rule in rules if rule.verb == "latency")
        self._cutters = {side: Cutter() for side in Side}
        self._held = {side: bytearray() for side in Side}
        self._passed = dict.fromkeys(Side, 0)
        self._waits: dict[Side, bytes] = dict.fromkeys(Side, b"")
        self._seen: Counter[int] = Counter()  # frames that a rule is about, by its number
        self._done: Counter[int] = Counter()
        self._replies = 0
        self._accepted = ACCEPTED
        self._welcome = b""
        self._ticket = False
        """Whether the latest Login has a ticket."""
        self._asked = 0
        """The seq of the client's latest Ping."""
        self._is_begun = False
        self._place = 0
        """The last position that the client was told."""
        self._pause = dict.fromkeys(Side, 0.0)
        self._pings: set[int] = set()
        """Numbers of inserted Pings without a Pong."""
        self._over = False
        self._ended: set[Side] = set()

    def take(self, side: Side, data: bytes) -> list[Action]:
        """What goes on of these bytes."""
        if self._over or side in self._ended:
            if side is Side.CLIENT and self._pings:  # the end waits for them too
                for frame in self._cutters[side].feed(data, 0.0):
                    self._is_answer(frame)
            return []
        pieces = self._frames(side, data) if self._by_frame else iter((Action(0.0, data),))
        return [each for piece in pieces for each in self._bytes(side, piece)]

    def eof(self, side: Side) -> list[Action]:
        """What goes on at the end of a side's stream, before that end."""
        rest = self._waits[side] + bytes(self._held[side])
        self._waits[side] = b""
        self._held[side].clear()
        return (
            list(self._bytes(side, Action(0.0, rest)))
            if rest and not self._over and side not in self._ended
            else []
        )

    def _note(self, rule: Rule, side: Side, what: str) -> None:
        self.did.append((side, what))
        self.acted.add(rule)

    # ------------------------------------------------------------- frames

    def _frames(self, side: Side, data: bytes) -> Iterator[Action]:
        """Whole frames, disturbed; the beginning of one waits for its end."""
        held = self._held[side]
        held += data
        for frame in self._cutters[side].feed(data, 0.0):
            if not frame.whole:
                break
            whole = bytes(held[: frame.length + 4])
            del held[: frame.length + 4]
            yield from self._frame(side, frame, whole)
            if self._over:
                return
        if self._cutters[side].dead:
            yield Action(0.0, bytes(held))
            held.clear()

    def _frame(self, side: Side, frame: Frame, whole: bytes) -> Iterator[Action]:
        if side is Side.CLIENT and self._is_answer(frame):
            return
        if side is Side.CLIENT and frame.type == 0x06:
            self._asked = frame.seq
        if frame.type == 0x01:
            self._ticket = any(whole[-16:-8])
        delay, copies, reordered, before, inserted = 0.0, 1, False, b"", b""
        for number, rule in enumerate(self._by_frame):
            if not self._applies(number, rule, side, frame):
                continue
            what = f"frame {frame.number}, {named(frame.type)} seq {frame.seq}"
            if rule.verb == "lose-reply":
                self._note(rule, side, f"lost {what}, and reset the connection")
                self._over = True
                yield Action(self._pause[side], End("reset"))
                return
            if rule.verb == "drop":
                self._note(rule, side, f"dropped {what}")
                copies = 0
            elif rule.verb == "duplicate":
                self._note(rule, side, f"wrote twice {what}")
                copies = 2
            elif rule.verb == "reorder":
                self._note(rule, side, f"wrote behind the next one {what}")
                reordered = True
            elif rule.verb == "delay":
                self._note(rule, side, f"held for {rule.seconds:g} s {what}")
                delay += rule.seconds
            elif rule.verb == "insert":
                self._look(side, whole)
                inserted += self._inserted(rule, frame, f"behind {what}")
            elif rule.verb == "insert-before":
                before += self._inserted(rule, frame, f"before {what}")
            else:
                changed = self._corrupted(whole, rule.kind)
                if changed != whole:
                    self._note(rule, side, f"{KINDS[rule.kind]} {what}")
                whole = changed
        self._look(side, whole)
        out = before + whole * copies
        waited, self._waits[side] = self._waits[side], b""
        if reordered and not waited:
            self._waits[side] = out + inserted
            return
        if out + waited + inserted:
            yield Action(delay + self._pause[side], out + waited + inserted)
            waits = self._is_begun or (self._pings and before + inserted)
            self._pause[side] = PAUSE if waits else 0.0
            self._is_begun = False

    def _is_answer(self, frame: Frame) -> bool:
        """Whether this is the Pong to an inserted Ping; then what waits for it goes on."""
        if frame.type != 0x07 or frame.seq not in self._pings:
            return False
        self._pings.discard(frame.seq)
        self.is_answered = True
        self._pause[Side.SERVER] = 0.0
        return True

    def _look(self, side: Side, whole: bytes) -> None:
        """Keep what the client is told, for what is made of it."""
        if side is Side.CLIENT:
            return
        type = whole[5]
        if type == 0x08 and len(whole) > 37 and len(whole) > 37 + whole[16]:
            at = 17 + whole[16] + 16
            self._accepted = max(int.from_bytes(whole[at : at + 4], "big") + 255, ACCEPTED)
            self._welcome = whole
            self._place = int.from_bytes(whole[at - 8 : at], "big")
        elif type == 0x04 and len(whole) == 24:
            self._place = int.from_bytes(whole[16:24], "big") or self._place
        elif type in FACTS or type >= 0x80:
            self._place = int.from_bytes(whole[8:16], "big")

    def _inserted(self, rule: Rule, beside: Frame, where: str) -> bytes:
        """A frame of the proxy's own; most numbers are such that they do not fit into 63 bits."""
        kind = rule.kind
        if kind in ("large", "longest", "begun") and self._accepted > MOST_MADE:
            return b""
        type, body = INSERTED.get(kind) or (0x05, int(kind[4:]).to_bytes(2, "big") + b"\0")
        seq = 1 << 63 | self._rng.getrandbits(63)
        if kind == "unnumbered" or kind.startswith("end"):
            seq = 0
        elif kind == "same":
            seq = beside.seq
        elif kind == "echo":
            seq = self._asked or seq
        elif kind == "next":
            seq = self._place + 1
        if kind in ("large", "longest", "begun"):
            body = bytes(self._accepted + (kind != "longest") - 12)
        seqs = [seq] * (2 if kind == "twins" else 1)
        if kind == "pings":
            seqs = [seq + each for each in range(PINGS)]
        if type == 0x06:
            self._pings.update(seqs)
        many = f"{len(seqs)} times " if len(seqs) > 1 else ""
        self._note(rule, Side.SERVER, f"inserted {many}{named(type)} seq {seq} {where}")
        length = {"nothing": 0, "stub": 11}.get(kind, 12 + len(body))
        made = b"".join(HEADER.pack(length, 1, type, 0, each) + body for each in seqs)
        self._is_begun = self._is_begun or kind in BEGINNINGS
        return made[: BEGINNINGS.get(kind, len(made))]

    def _applies(self, number: int, rule: Rule, side: Side, frame: Frame) -> bool:
        if rule.verb == "lose-reply":
            if side is Side.CLIENT or frame.type not in REPLIES or not frame.seq:
                return False
            self._replies += 1
            return self._replies == rule.number
        if rule.side not in (None, side) or (rule.is_resumed and not self._ticket):
            return False
        if rule.types is not None and frame.type not in rule.types:
            return False
        self._seen[number] += 1
        if rule.number:
            return self._seen[number] == rule.number
        if rule.first and self._done[number] >= rule.first:
            return False
        if rule.chance < 1.0 and self._rng.random() >= rule.chance:
            return False
        self._done[number] += 1
        return True

    def _corrupted(self, whole: bytes, kind: str) -> bytes:
        data = bytearray(whole)
        length, _, type, _, seq = HEADER.unpack_from(data)
        is_named = (type in NAMED or type >= 0x80) and len(data) > 17 and data[16] > 0
        if kind in ("ack", "pong", "welcome", "large"):
            return self._in_place(kind, whole, seq)
        if kind in TEXTS and type == 0x02:
            data += TEXTS[kind]
        elif kind == "long" and type == 0x09:
            data[16:] = bytes([200]) + b"n" * 200
        elif kind == "user" and is_named and chr(data[17]).isalpha():
            data[17] ^= 0x20
        elif kind == "event" and (type == 0x02 or type >= 0x80):
            data[5] = 0x80 | (type + 1)
        elif kind == "last" and len(data) > 16:
            data[-1] ^= 1
        elif kind in (*MAX_FRAMES, *CODES, "position", "far", "ticket"):
            self._change_field(data, kind, type)
        elif kind == "length":
            data[0:4] = (length + 1).to_bytes(4, "big")
        elif kind == "short":
            data[0:4] = (11).to_bytes(4, "big")
        elif kind == "version":
            data[4] = 2
        elif kind == "old":
            data[4] = 0
        elif kind == "reserved":
            data[7] = 1
        elif kind == "type":
            data[5] = 0x0B
        elif kind in ("seq", "wide"):
            more = 1 if kind == "seq" else 1 << 32
            data[8:16] = ((seq + more) % 2**64 or 1).to_bytes(8, "big")
        elif kind == "zero":
            data[8:16] = bytes(8)
        elif kind == "over":
            data += b"\0"
        elif len(data) > 16 and kind in ("less", "empty"):
            del data[-1 if kind == "less" else 16 :]
        elif kind == "name" and is_named:
            data[17] = 0xFF
        elif len(data) > 16 and kind == "utf8":
            data[-1] = 0xFF
        elif len(data) > 16 and kind == "body":
            data[self._rng.randrange(16, len(data))] ^= 1 << self._rng.randrange(8)
        if len(data) != len(whole):
            data[0:4] = (len(data) - 4).to_bytes(4, "big")
        return bytes(data)

    def _in_place(self, kind: str, whole: bytes, seq: int) -> bytes:
        """Another frame with the same seq."""
        if kind == "welcome":
            known = self._welcome
            at = 25 + known[16] if known else 0
            place = self._place.to_bytes(8, "big")
            made = known[:8] + whole[8:16] + known[16:at] + place + known[at + 8 :]
            return made if known else whole
        if kind == "large" and self._accepted > MOST_MADE:
            return whole
        type = {"ack": 0x04, "pong": 0x07, "large": 0x0B}[kind]
        body = bytes({"ack": 8, "pong": 0, "large": self._accepted + 1 - 12}[kind])
        return HEADER.pack(12 + len(body), 1, type, 0, seq) + body

    @staticmethod
    def _change_field(data: bytearray, kind: str, type: int) -> None:
        """Write another number into a field, where the frame has it."""
        if kind in CODES:
            if type == 0x05:
                data[16:18] = CODES[kind].to_bytes(2, "big")
            return
        ticket = len(data) - 16 if type == 0x01 else 17 + data[16] if len(data) > 37 else 0
        has_ticket = (type == 0x01 and ticket > 18) or (type == 0x08 and len(data) >= ticket + 20)
        if kind in MAX_FRAMES:
            if type == 0x08 and has_ticket:
                data[ticket + 16 : ticket + 20] = MAX_FRAMES[kind].to_bytes(4, "big")
        elif kind == "ticket":
            if has_ticket and any(data[ticket : ticket + 8]):
                data[ticket] ^= 0xFF
                data[ticket + 7] ^= 0xFF
        elif has_ticket or (type == 0x04 and len(data) == 24):
            Disturber._move(data, 16 if type == 0x04 else ticket + 8, kind, type)
        elif kind == "far" and (type in FACTS or type >= 0x80):
            Disturber._move(data, 8, kind, type)

    @staticmethod
    def _move(data: bytearray, at: int, kind: str, type: int) -> None:
        """Write another position. What a client says of an older position is moved back."""
        position = int.from_bytes(data[at : at + 8], "big")
        if kind == "position":
            more = 1 if type != 0x01 else 0
        else:
            is_none = not position and type in (0x01, 0x04)
            more = 0 if is_none else -FAR if type == 0x01 else FAR
        data[at : at + 8] = ((position + more) % 2**64).to_bytes(8, "big")

    # ------------------------------------------------------------- bytes

    def _bytes(self, side: Side, action: Action) -> Iterator[Action]:
        """What is left of some bytes by the rules that count bytes; in pieces."""
        if isinstance(action.what, End):
            yield action
            return
        data, delay = action.what, action.delay + self._latency
        while data:
            rule = self._next_of(side, len(data))
            if rule is None:
                break
            size = rule.byte - self._passed[side]
            yield from self._pieces(data[:size], delay)
            self._passed[side] += size
            data, delay = data[size:], self._latency
            self._by_byte.remove(rule)
            where = f"behind byte {rule.byte}"
            if rule.verb == "stall":
                self._note(rule, side, f"held the stream for {rule.seconds:g} s {where}")
                delay += rule.seconds
                continue
            if rule.verb == "half-close":
                self._note(rule, side, f"ended the stream {where}")
                yield Action(0.0, End("half-close"))
                self._ended.add(side)
                return
            what = "closed" if rule.verb == "cut-at" else "reset"
            self._note(rule, side, f"{what} the connection {where}")
            self._over = True
            yield Action(0.0, End("close" if rule.verb == "cut-at" else "reset"))
            return
        self._passed[side] += len(data)
        yield from self._pieces(data, delay)

    def _next_of(self, side: Side, size: int) -> Rule | None:
        """The next rule that some byte of these reaches."""
        ahead = [
            rule
            for rule in self._by_byte
            if rule.side is side and rule.byte < self._passed[side] + size
        ]
        return min(ahead, key=lambda rule: rule.byte, default=None)

    def _pieces(self, data: bytes, delay: float) -> Iterator[Action]:
        if not data:
            return
        if self._split is None:
            yield Action(delay, data)
            return
        self.acted.add(self._split)
        at = 0
        while at < len(data):
            size = 1 if self._split.kind == "bytewise" else self._rng.choice((1, 2, 3, 7, 20, 200))
            yield Action(delay, data[at : at + size])
            at, delay = at + size, 0.0
