"""A client with faults that can be switched on: `python faulty_client.py HOST PORT [FAULT]`.

Rule: written from docs/protocol.md and docs/conformance-clients.md with the standard
library alone; each fault breaks one rule at one place, where its name stands.

It runs in a thread of the tests, thousands of times.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, Literal, NoReturn
from unicodedata import normalize

LOGIN, MESSAGE, LOGOUT, ACK, ERROR, PING, PONG, WELCOME, JOINED, LEFT = range(1, 11)
NAMES = {
    LOGIN: "Login",
    MESSAGE: "Message",
    LOGOUT: "Logout",
    ACK: "Ack",
    ERROR: "Error",
    PONG: "Pong",
    WELCOME: "Welcome",
    JOINED: "Joined",
    LEFT: "Left",
}
MALFORMED, FRAME_TOO_LARGE, UNSUPPORTED_VERSION, UNEXPECTED_EVENT = 1, 2, 3, 5
LAYOUTS = {
    LOGIN: "user:s credential:c ticket:8 position:8",
    MESSAGE: "sender:s content:t",
    LOGOUT: "",
    ACK: "position:8",
    ERROR: "code:2 text:s",
    PING: "",
    PONG: "",
    WELCOME: "user:s ticket:8 position:8 max_frame:4 heartbeat:2 server:s",
    JOINED: "user:s",
    LEFT: "user:s reason:1",
}

BYTES_OVER = {
    "ack-bytes-over": "Ack",
    "error-bytes-over": "Error",
    "last-error-bytes-over": "LastError",
    "pong-bytes-over": "Pong",
    "welcome-bytes-over": "Welcome",
    "left-bytes-over": "Left",
}
"""Faults by which bytes after the last field of one event pass."""
ANY_TEXT = {
    "any-sender-of-message": ("Message", "sender"),
    "any-sender-of-application": ("ApplicationEvent", "sender"),
    "any-user-of-joined": ("Joined", "user"),
    "any-user-of-left": ("Left", "user"),
    "any-user-of-welcome": ("Welcome", "user"),
    "any-server-of-welcome": ("Welcome", "server"),
    "any-text-of-error": ("Error", "text"),
    "any-text-of-last-error": ("LastError", "text"),
}
"""Faults by which one text is not validated."""
MISSING = {
    "error-without-text": ("Error", "text"),
    "welcome-without-server": ("Welcome", "server"),
    "ack-with-half-a-position": ("Ack", "position"),
    "application-without-sender": ("ApplicationEvent", "sender"),
}
"""Faults by which one field may be missing, or some of its bytes."""
SIGNED = {
    "signed-max-frame": ("Welcome", "max_frame"),
    "signed-heartbeat": ("Welcome", "heartbeat"),
    "signed-codes": ("Error", "code"),
    "signed-last-codes": ("LastError", "code"),
}
"""Faults by which one number is read as signed."""

COMES_BACK = {21, 22, 23, 24, 30}
"""The codes of a last Error after which this client resumes: the server has other cares."""
COMES_BACK_AFTER = {
    "back-after-malformed": MALFORMED,
    "back-after-too-large": FRAME_TOO_LARGE,
    "back-after-version": UNSUPPORTED_VERSION,
    "back-after-unauthorized": 12,
    "comes-back": 13,
}
"""Faults by which it resumes after one code more."""
SLOW_CONSUMER, HISTORY_GONE = 21, 15
Request = tuple[int, bytes]
"""Type and body of a Message or an application event."""


def name_of(type: int, seq: int) -> str:
    """The event of a frame; the Error that ends a connection has a name of its own here."""
    if type == ERROR and seq == 0:
        return "LastError"
    return "ApplicationEvent" if type >= 0x80 else NAMES.get(type, "Unknown")


SILENCE = 0.2
"""Seconds, where this is a program. In tests the starter says what silence is."""
SHORTEST_PAUSE = 0.01
"""Seconds before it connects again. They should be 0.5 (EP-9.3-1); this client runs too often."""
Wait = Callable[[socket.socket], bool]


class Fault(Exception):
    """The server broke a rule."""


class End(Exception):
    """The connection has ended."""


class Closed(Exception):
    """The WebSocket ended in a way that this client tells its user, with the code if any."""


OVER_WEBSOCKET = "ws"
"""With this alone, and with a fault whose name begins so, the client speaks WebSocket."""
CONT, TEXT, BINARY, CLOSE, WS_PING = 0x0, 0x1, 0x2, 0x8, 0x9
MASK = b"\x11\x22\x33\x44"
HANDSHAKE = """GET / HTTP/1.1
Host: localhost
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==
Sec-WebSocket-Version: 13
"""


class WebSocket:
    """The stream of a WebSocket, used like a socket; `fault` is what it does wrong.

    `is_selected` tells whether the server has selected the subprotocol.
    """

    def __init__(self, sock: socket.socket, fault: str) -> None:
        self.sock, self.fault = sock, fault
        self.gathered = self.payload = b""
        self.over = False
        offer = "" if fault == "ws-no-subprotocol" else "Sec-WebSocket-Protocol: event-protocol.1\n"
        head = b""
        with suppress(OSError):  # a failure shows when reading
            self.sock.sendall(f"{HANDSHAKE}{offer}\n".replace("\n", "\r\n").encode())
            while b"\r\n\r\n" not in head and (data := self.sock.recv(65_536)):
                head += data
        head, end, self.raw = head.partition(b"\r\n\r\n")
        self.is_selected = b"event-protocol.1" in head or not end or fault == "ws-any-answer"

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def fileno(self) -> int:
        """Whoever waits for it has said all that there was to say."""
        if self.gathered:
            gathered, self.gathered = self.gathered, b""
            self.put(BINARY, gathered)
        return self.sock.fileno()

    def sendall(self, data: bytes) -> None:
        if self.fault == "ws-gathers-all":
            self.gathered += data
        else:
            self.put(TEXT if self.fault == "ws-sends-text" else BINARY, data)

    def put(self, opcode: int, data: bytes) -> None:
        bit = 0 if self.fault == "ws-unmasked" else 0x80
        size = len(data)
        length = bytes([bit | size]) if size < 126 else struct.pack(">BH", bit | 126, size)
        mask = MASK if bit else bytes(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.sock.sendall(bytes([0x80 | opcode]) + length + (mask if bit else b"") + masked)

    def recv(self, size: int) -> bytes | None:
        """Bytes of the stream, empty at its end; None if there are none yet."""
        data = b"" if self.over else self.sock.recv(size)
        self.raw += data
        return self.taken() or (None if data and not self.over else b"")

    def taken(self) -> bytes:
        """The stream's bytes in what was read."""
        self.payload = b""
        while (frame := self.frame()) is not None:
            self.take(*frame)
        return self.payload

    def frame(self) -> tuple[int, bool, bytes] | None:
        """Opcode, FIN and payload of the next whole frame."""
        raw = self.raw
        if len(raw) < 2 or (len(raw) < 4 and raw[1] == 126):
            return None
        at, size = (4, int.from_bytes(raw[2:4], "big")) if raw[1] == 126 else (2, raw[1])
        if len(raw) < at + size:
            return None
        self.raw = raw[at + size :]
        return raw[0] & 0xF, raw[0] >= 0x80, raw[at : at + size]

    def take(self, opcode: int, fin: bool, data: bytes) -> None:
        fault = self.fault
        if opcode == TEXT and fault == "ws-text-is-binary":
            opcode = BINARY
        if opcode == TEXT and fault == "ws-text-passed-over":
            return
        if opcode == TEXT:
            raise Closed("fault", MALFORMED)
        if opcode == CLOSE:
            self.end(int.from_bytes(data[:2], "big"))
        if opcode == WS_PING and fault == "ws-ping-is-payload":
            opcode = CONT
        if opcode not in (BINARY, CONT):
            return
        if not data and fin and fault == "ws-empty-is-the-end":
            self.end(0)
        if len(data) > 8_192 and fault == "ws-limit-is-max-frame":
            raise Closed("fault", FRAME_TOO_LARGE)
        if opcode == CONT and fault == "ws-first-fragment-only":
            return
        if fault == "ws-one-frame-a-message":
            data = data[: 4 + int.from_bytes(data[:4], "big")]
        if fault == "ws-no-frame-across":
            data = data[: whole(data)]
        self.payload += data

    def end(self, code: int) -> None:
        told = {"ws-1000-is-clean": (1000, "clean"), "ws-1008-refuses": (1008, "refused")}
        wrong, how = told.get(self.fault, (-1, ""))
        if code == wrong:
            raise Closed(how)
        self.over = True
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RD)  # so that it is ready to be read


def whole(data: bytes) -> int:
    """How many bytes of it are whole frames."""
    at = 0
    while len(data) - at >= 4 and at + 4 + int.from_bytes(data[at : at + 4], "big") <= len(data):
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    return at


class Client:
    """One session; `fault` is what this client does wrong.

    `wait` comes back with True when there is something to read, with False at a silence.
    """

    def __init__(self, host: str, port: int, fault: str, out: BinaryIO, wait: Wait) -> None:
        self.address = (host, port)
        self.out = out
        self.wait = wait
        self.fault = fault
        self.user, self.ticket, self.position = "ann", 0, 0
        self.resumes = self.replaying = False
        self.pause = SHORTEST_PAUSE
        self.kept: deque[Request] = deque()
        """What has no reply; in a replay, what is in doubt."""
        self.settled: deque[Request] = deque()
        """What was not accepted, and is to be sent again."""
        self.since_error = 2
        """Connections since an Error settled something."""
        self.buffer = b""
        self.number = 1
        self.limit = self.first_limit = 4096
        self.waiting: deque[tuple[int, int, int]] = deque()

    def has(self, *faults: str) -> bool:
        return self.fault != "" and self.fault in faults

    # ------------------------------------------------------------- one connection

    def run(self) -> str:
        """Connect, and be a member until the end. Returns how it ended."""
        if not self.has("buffer-outlives"):
            self.buffer = b""
        pings = [each for each in self.waiting if each[0] == PING]
        self.waiting = deque(pings if self.has("pings-outlive") else [])
        if not self.has("numbers-outlive"):
            self.number = 1
        self.place, self.allowed, self.heartbeat = -1, 4096, 0
        if not self.has("limit-outlives"):
            self.limit = 65_791 if self.has("limit-from-the-start") else 4096
        self.logged_out = False
        self.ponged: set[int] = set()
        if self.replaying and self.has("forgets-at-second-loss"):
            self.kept.clear()
            self.settled.clear()
        self.since_error += 1
        if self.has("settled-is-forgotten") or (
            self.has("forgets-what-an-error-settled") and self.since_error == 2
        ):
            self.kept.extendleft(reversed(self.settled))
            self.settled.clear()
        if self.has("keeps-a-set"):
            self.kept = deque(dict.fromkeys(self.kept))
        self.replaying = self.ticket != 0
        with self.connect() as self.sock:
            try:
                self.log_in()
                while True:
                    self.read()
            except End as end:
                return str(end)

    def connect(self) -> Any:
        """A socket of TCP, or what looks like one over WebSocket."""
        sock = socket.create_connection(self.address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return WebSocket(sock, self.fault) if self.fault.startswith(OVER_WEBSOCKET) else sock

    def log_in(self) -> None:
        if isinstance(self.sock, WebSocket) and not self.sock.is_selected:
            self.end("fault", UNEXPECTED_EVENT)
        if self.has("seq-from-0"):
            self.number = 0
        if self.has("seq-random"):
            self.number = 77
        credential = struct.pack(">H", 0)
        place = 0 if self.has("resume-from-0") else self.position
        ticket = 0 if self.has("resume-without-ticket") else self.ticket
        if self.has("places-are-floats"):
            place = int(float(place))
        if self.has("signed-ticket"):
            ticket &= 2**63 - 1
        if self.has("float-ticket"):
            ticket = int(float(ticket)) & 0xFFFF_FFFF_FFFF_FFFF
        user = "ann" if self.has("asks-for-first-name") else self.user
        body = self.short(user) + credential + struct.pack(">QQ", ticket, place)
        if self.has("short-login"):
            body = body[:-8]
        self.ask(LOGIN, body)
        if self.replaying and not self.has("resume-without-ping"):
            self.ask(PING, b"")

    def receive(self) -> bytes:
        # With the answer of the handshake more may have come.
        if isinstance(self.sock, WebSocket) and (early := self.sock.taken()):
            return early
        while True:
            while not self.wait(self.sock):
                is_left = self.heartbeat > 0 and self.has("leaves-within-a-heartbeat")
                if is_left or (self.has("leaves-in-silence") and self.place >= 0):
                    self.end("lost")
            data: bytes | None = self.sock.recv(65_536)
            if data is not None:
                return data

    def read(self) -> None:
        try:
            data = self.receive()
        except OSError:
            if self.has("crashes-at-reset"):
                raise
            data = b""
        except Closed as closed:
            self.end(*closed.args)
        if not data:
            if self.has("decodes-cut-frames") and len(self.buffer) > 16:
                self.frame(self.buffer)
            is_clean = self.has("eof-is-clean") or (self.has("logout-is-clean") and self.logged_out)
            self.end("clean" if is_clean else "lost")
        if self.has("one-read-one-frame"):
            self.buffer = b""
        if self.has("drops-halves") and 0 < len(self.buffer) < 16 and self.place >= 0:
            self.buffer = b""
        self.buffer += data
        try:
            if self.has("checks-chunks-first"):
                self.check_whole()
            handled = 0
            while self.take():
                handled += 1
                if self.has("64-frames-a-read") and handled == 64:
                    break
        except Fault as fault:
            if self.has("keeps-open") and fault.args[0] == UNSUPPORTED_VERSION:
                self.tell({"event": "End", "how": "fault", "code": fault.args[0]})
                self.receive()
            wrong = {"code": 1} if self.has("tells-wrong-code") else {"code": fault.args[0]}
            self.end("fault", **wrong, again=self.has("resumes-a-fault"))

    def check_whole(self) -> None:
        """A fault that is found before the good frames in front of it are used."""
        at = 0
        while len(self.buffer) - at >= 4:
            length = int.from_bytes(self.buffer[at : at + 4], "big")
            if length < 12:
                raise Fault(MALFORMED)
            at += 4 + length

    def take(self) -> bool:
        """Handle one frame, if it is there."""
        buffer = self.buffer
        if len(buffer) < 4:
            return False
        length = int.from_bytes(buffer[:4], "big", signed=self.has("signed-length"))
        if self.has("length-counts-itself"):
            length -= 4
        if self.has("waits-for-header") and len(buffer) < 16:
            return False
        if length < 12 and not self.has("any-short-length"):
            if length or not self.has("length-0-passed-over"):
                raise Fault(MALFORMED)
            self.buffer = buffer[4:]
            return True
        if length > 65_791 and self.has("skips-long-frames"):
            self.buffer = buffer[4 + length :]
            return len(buffer) >= 4 + length
        if length > self.limit and not self.has("no-limit", "signed-length"):
            if self.has("limit-when-whole") and len(buffer) < 4 + length:
                return False
            raise Fault(FRAME_TOO_LARGE)
        if len(buffer) < 16 or (self.has("waits-for-body") and len(buffer) < 4 + length):
            return False
        self.header(buffer)
        if len(buffer) < 4 + length:
            return False
        self.buffer = buffer[4 + length :]
        try:
            self.frame(buffer[: 4 + length])
        except Fault:
            if not self.has("skips-faulty-frames"):
                raise
        return True

    def header(self, buffer: bytes) -> None:
        version, type, reserved, seq = struct.unpack_from(">BBHQ", buffer, 4)
        newer = version > 1 if self.has("version-0-passes") else version != 1
        if self.has("reserved-first") and reserved:
            raise Fault(MALFORMED)
        if newer and not self.has("any-version"):
            raise Fault(UNSUPPORTED_VERSION)
        if reserved and not self.has("any-reserved", "skips-faulty-frames"):
            raise Fault(MALFORMED)
        if seq == 0 and type != ERROR and not self.has("any-seq"):
            raise Fault(MALFORMED)

    # ------------------------------------------------------------- bytes <-> events

    def frame(self, frame: bytes) -> None:
        if self.has("skips-faulty-frames") and frame[6:8] != b"\0\0":
            raise Fault(MALFORMED)
        type, (seq,) = frame[5], struct.unpack_from(">Q", frame, 8)
        if type in (LOGIN, LOGOUT) and self.has("way-before-body"):
            raise Fault(UNEXPECTED_EVENT)
        self.handle(type, seq, self.decode(type, name_of(type, seq), frame[16:]))

    def decode(self, type: int, event: str, body: bytes) -> dict[str, Any]:
        layout = "sender:s data:r" if type >= 0x80 else LAYOUTS.get(type, "body:r")
        if self.has("empty-body-passes") and not body and type == MESSAGE:
            return {"sender": "", "content": ""}
        fields: dict[str, Any] = {}
        at = 0
        for field in layout.split():
            name, _, kind = field.partition(":")
            at_field = (event, name)
            if at == len(body) and MISSING.get(self.fault) == at_field:
                fields[name] = ""
                continue
            size = int(kind) if kind.isdigit() else len(body) - at
            if kind in "sc":
                prefix = 1 if kind == "s" else 2
                if at + prefix > len(body):
                    raise Fault(MALFORMED)
                signed = prefix == 1 and self.has("signed-sizes")
                size = abs(int.from_bytes(body[at : at + prefix], "big", signed=signed))
                at += prefix
            if at + size > len(body):
                lenient = (kind.isdigit() and self.has("missing-is-0")) or (
                    kind == "s" and self.has("slices")
                )
                if not lenient and MISSING.get(self.fault) != at_field:
                    raise Fault(MALFORMED)
            fields[name] = self.value(at_field, kind, body[at : at + size])
            at += size
        passes = self.has("leaves-bytes-over") or (type == PING and self.has("ping-with-body"))
        passes = passes or BYTES_OVER.get(self.fault) == event
        if at < len(body) and not passes:
            raise Fault(MALFORMED)
        return fields

    def value(self, at_field: tuple[str, str], kind: str, data: bytes) -> object:
        if kind.isdigit():
            order: Literal["little", "big"] = "little" if self.has("little-endian") else "big"
            number = int.from_bytes(data, order, signed=SIGNED.get(self.fault) == at_field)
            return number & 0xFF if at_field[1] == "code" and self.has("8-bit-codes") else number
        if kind in "cr":
            return data
        if ANY_TEXT.get(self.fault) == at_field:
            return data.decode("latin-1")
        try:
            if self.has("c-strings"):
                data = data.split(b"\0")[0]
            if self.has("texts-of-100-bytes") and at_field[0] == "Welcome":
                data = data[:100]
            text = data.decode("utf-8", "ignore")
            if self.has("no-noncharacters") and not text.isascii() and "\uffff" in text:
                raise Fault(MALFORMED)
            if self.has("16-bit-text") and any(each > "\uffff" for each in text):
                raise Fault(MALFORMED)
            if self.has("replaces-bad-text"):
                return data.decode("utf-8", "replace")
            if self.has("surrogates"):
                return data.decode("utf-8", "surrogatepass")
            if self.has("cut-text") and data.endswith(b"\xc3"):
                data = data[:-1]
            if self.has("overlong") and b"\xc1\xa1" in data:
                data = data.replace(b"\xc1\xa1", b"a")
            if self.has("too-high") and b"\xf4\x90\x80\x80" in data:
                return "?"
            if self.has("takes-bom-off"):
                return data.decode("utf-8-sig")
            if self.has("strips-text"):
                return data.decode().strip()
            return data.decode()
        except UnicodeDecodeError:
            raise Fault(MALFORMED) from None

    def short(self, text: str) -> bytes:
        data = text.encode()
        return bytes([len(data)]) + data

    def put(self, type: int, seq: int, body: bytes) -> None:
        reserved = 1 if self.has("writes-reserved") else 0
        with suppress(OSError):  # a failure shows when reading
            self.sock.sendall(struct.pack(">IBBHQ", 12 + len(body), 1, type, reserved, seq) + body)

    def ask(self, type: int, body: bytes) -> bool:
        if 12 + len(body) > self.allowed and not self.has("sends-any-length"):
            self.tell({"event": "Refused"})
            return False
        self.waiting.append((type, self.number, len(body)))
        if type == MESSAGE or type >= 0x80:
            self.kept.append((type, body))
        self.put(type, self.number, body)
        self.number += 1
        return True

    # ------------------------------------------------------------- what events do

    def end(self, how: str, code: int = 0, again: bool = False) -> NoReturn:
        self.sock.close()
        self.tell({"event": "End", "how": how, "code": code})
        raise End("lost" if again else how)

    def enter(self, position: int) -> None:
        wanted = position == self.place + 1
        if self.has("gaps-in-a-replay-pass") and self.replaying:
            wanted = position > self.place
        if self.has("places-are-floats"):
            wanted = float(position) == float(self.place + 1)
        if self.has("32-bit-places"):
            wanted = (position - self.place - 1) & 0xFFFF_FFFF == 0
        if self.has("no-last-position") and position == 2**63 - 1:
            wanted = False
        if self.has("no-gaps-checked") and position > self.place:
            wanted = self.place >= 0
        if self.has("doubles-pass") and position == self.place:
            wanted = True
        if self.has("any-first-position") and not self.started:
            wanted = self.place >= 0
        if self.has("facts-before-welcome") and self.place < 0:
            wanted = True
        if not wanted:
            raise Fault(UNEXPECTED_EVENT)
        self.started = True
        self.place = position & 0xFFFF_FFFF if self.has("counts-in-32-bits") else position
        if not (self.replaying and self.has("place-of-first-loss")):
            self.position = position

    def reply(self, type: int, seq: int, fields: dict[str, Any]) -> int:
        self.reorder(type, seq)
        if not self.waiting:
            of_kind = {ACK: "unasked-acks-pass", ERROR: "unasked-errors-pass"}.get(type, "")
            if self.has("unasked-replies-pass", of_kind):
                return 0
            raise Fault(UNEXPECTED_EVENT)
        asked, number, _ = self.waiting[0]
        if self.has("reply-seqs-in-32-bits"):
            seq &= 0xFFFF_FFFF
        of_any_seq = {ERROR: "any-error-seq", WELCOME: "any-welcome-seq"}.get(type, "")
        if seq != number and not self.has("any-reply-seq", of_any_seq):
            raise Fault(UNEXPECTED_EVENT)
        if not self.fits(type, asked):
            raise Fault(UNEXPECTED_EVENT)
        self.waiting.popleft()
        is_settled = type == ACK or not self.has("resends-refused")
        if (asked == MESSAGE or asked >= 0x80) and not self.replaying and is_settled:
            self.kept.popleft()
        if type == ACK and (fields["position"] or self.has("ack-0-counts")):
            if self.has("any-ack-position"):
                self.place = fields["position"]
            elif asked >= 0x80 and self.has("event-acks-pass"):
                self.place = self.position = fields["position"]
            elif not self.has("acks-not-counted"):
                handled = self.position
                self.enter(fields["position"])
                if self.has("place-not-from-acks"):
                    self.position = handled
        if type == WELCOME:
            self.welcomed(fields)
        return asked

    def reorder(self, type: int, seq: int) -> None:
        """Where a reply need not answer the oldest request: move that which it answers."""
        kind = {PONG: PING}.get(type)
        for at, (asked, number, _) in enumerate(self.waiting):
            if self.has("acks-answer-all-before") and type == ACK and number == seq:
                for _ in range(at):
                    self.waiting.popleft()
                return
            if (self.has("replies-in-any-order") and number == seq) or (
                self.has("pings-have-a-queue") and asked == kind
            ):
                request = self.waiting[at]
                del self.waiting[at]
                self.waiting.appendleft(request)
                return

    def fits(self, type: int, asked: int) -> bool:
        """Whether a reply of this type may answer such a request."""
        if type == ERROR:
            return asked != PING or not self.has("pings-cannot-fail")
        passing = {
            (WELCOME, MESSAGE): "second-welcome",
            (PONG, MESSAGE): "any-reply-kind",
            (ACK, PING): "ack-for-pong",
            (ACK, LOGIN): "ack-for-welcome",
            (PONG, LOGOUT): "pong-for-goodbye",
        }
        wanted = {LOGIN: WELCOME, PING: PONG}.get(asked, ACK)
        return type == wanted or self.has(passing.get((type, asked), ""))

    def welcomed(self, fields: dict[str, Any]) -> None:
        moved = self.ticket != 0 and fields["position"] != self.position
        if self.has("places-are-floats"):
            moved = self.ticket != 0 and float(fields["position"]) != float(self.position)
        if moved and not self.has("any-resume-position"):
            raise Fault(UNEXPECTED_EVENT)
        self.place = self.position = fields["position"]
        self.pause = SHORTEST_PAUSE
        self.started = False
        self.allowed = 65_536 if self.has("usual-limit") else fields["max_frame"]
        if self.has("first-max-frame") and self.ticket:
            self.allowed = self.first_limit
        self.first_limit = self.allowed
        if self.has("allowed-4096-at-least"):
            self.allowed = max(self.allowed, 4_096)
        self.limit = self.allowed + (0 if self.has("no-allowance") else 255)
        if self.has("32-bit-limit"):
            self.limit &= 0xFFFF_FFFF
        if self.has("hard-limit"):
            self.limit = 70_000
        self.user, self.heartbeat = fields["user"], fields["heartbeat"]
        if not (self.ticket and self.has("first-ticket")):
            self.ticket = fields["ticket"]
        if self.has("drops-behind-welcome"):
            self.buffer = b""
        if self.has("own-name"):
            fields["user"] = "ann"

    def handle(self, type: int, seq: int, fields: dict[str, Any]) -> None:
        if type == PING:
            return self.pinged(seq)
        if type == ERROR and self.is_end(seq, fields["code"]):
            if fields["code"] == 4711 and self.has("known-codes-only"):
                raise Fault(MALFORMED)
            self.last_error(fields["code"])
        is_fact = type in (MESSAGE, JOINED, LEFT) or type >= 0x80
        is_reply = type in (ACK, ERROR, PONG, WELCOME)
        asked = 0
        if is_fact and not (type >= 0x80 and self.has("application-not-counted")):
            handled = self.position
            self.enter(seq)
            if type >= 0x80 and self.has("events-move-no-place"):
                self.position = handled
        elif is_reply:
            asked = self.reply(type, seq, fields)
        elif type in (LOGIN, LOGOUT):
            if not self.has("any-way"):
                raise Fault(UNEXPECTED_EVENT)
        elif not is_fact:
            self.unknown(type, seq, fields["body"])
        self.told(type, seq, fields)
        self.act(type, asked, fields)

    def pinged(self, seq: int) -> None:
        if self.replaying and self.has("ping-ends-replay") and seq == 2:
            self.replayed(PONG, {})
        if self.has("pongs-own-number"):
            seq = self.number
        if self.has("32-bit-pongs"):
            seq &= 0xFFFF_FFFF
        if self.has("pongs-are-floats"):
            seq = int(float(seq)) & 0xFFFF_FFFF_FFFF_FFFF
        if self.has("signed-pings") and seq >= 2**63:
            raise Fault(MALFORMED)
        if self.has("pongs-once") and seq in self.ponged:
            return
        if self.has("1000-pongs") and len(self.ponged) == 1_000:
            return
        self.ponged.add(seq)
        if self.has("pong-body"):
            return self.put(PONG, seq, b"\0")
        if self.has("pongs-of-members-only") and self.place < 0:
            return
        if self.has("pongs-last") and int.from_bytes(self.buffer[:4], "big") > 12:
            return
        if self.has("ping-is-mine") and any(number == seq for _, number, _ in self.waiting):
            return
        self.put(PONG, seq, b"")

    def is_end(self, seq: int, code: int) -> bool:
        if self.has("code-tells-the-end"):
            return code in (1, 2, 3, 12, 21, 22, 23, 24, 30) or code > 30
        if self.has("fatal-codes-end") and code in (1, 2, 3, 12, 21, 22, 23, 24, 30):
            return True
        return seq == 0 or (self.has("every-error-ends") and self.place >= 0)

    def last_error(self, code: int) -> NoReturn:
        if self.has("errors-are-losses"):
            self.end("lost")
        if self.buffer and self.has("error-stands-alone"):
            raise Fault(MALFORMED)
        if self.has("judges-behind-the-end"):
            self.check_whole()
        if self.has("piece-is-loss") and 0 < len(self.buffer) - 4 < int.from_bytes(
            self.buffer[:4], "big"
        ):
            self.end("lost")
        if self.logged_out and self.has("any-goodbye"):
            self.end("clean")
        if self.has("reads-behind-the-end"):
            while self.take():
                pass
        if self.has("waits-after-error"):
            while self.receive():
                pass
        if code == 3 and self.has("version-is-lost"):
            self.end("lost")
        if code == 23 and self.has("full-is-lost"):
            self.end("lost")
        is_said = self.place >= 0 or self.has("turned-away-settles")
        is_said &= code != SLOW_CONSUMER or self.has("slow-consumer-settles")
        if is_said and not self.has("last-error-settles-nothing"):
            self.settle()
            self.since_error = 0
        comes_back = code in COMES_BACK or COMES_BACK_AFTER.get(self.fault) == code
        self.end("explained", code, again=comes_back and not self.has("leaves-if-explained"))

    def unknown(self, type: int, seq: int, body: bytes) -> None:
        if self.replaying and self.has("unknown-ends-replay"):
            self.replayed(PONG, {})
        if self.has("short-unknowns") and len(body) > 255:
            raise Fault(MALFORMED)
        if self.has("unknown-is-fault") or (self.has("unknown-too-early") and self.place < 0):
            raise Fault(MALFORMED)
        if self.has("unknown-is-answered"):
            self.put(ERROR, seq, b"\0\4\0")
        if self.has("unknown-is-entry") and seq == self.place + 1:
            self.place = seq
        if self.has("unknown-is-entry") and seq == self.place:
            self.place += 1

    def told(self, type: int, seq: int, fields: dict[str, Any]) -> None:
        name = name_of(type, seq)
        if name == "Unknown" and self.has("unknown-untold"):
            return
        if name == "Left" and self.has("left-untold"):
            return
        if type >= 0x80 and self.has("declared-only") and type != 0x80:
            return
        line: dict[str, Any] = {"event": name, "seq": str(seq)}
        if self.has("numbers-in-json"):
            line["seq"] = seq
        if self.has("32-bit-positions"):
            line["seq"] = str(seq & 0xFFFF_FFFF)
        if name in ("ApplicationEvent", "Unknown"):
            line["type"] = type
        for key, value in fields.items():
            if key == "ticket" and not self.has("tells-ticket"):
                continue
            is_wide = key in ("position", "ticket")
            line[key] = value.hex() if isinstance(value, bytes) else value
            if is_wide:
                line[key] = str(value)
            if is_wide and type == ACK and self.has("ack-position-is-float"):
                line[key] = str(int(float(value)))
        if name == "Left" and fields["reason"] > 2 and not self.has("raw-reasons"):
            line["reason"] = 1
        if name == "ApplicationEvent" and self.has("data-is-text"):
            try:
                fields["data"].decode()
            except UnicodeDecodeError:
                raise Fault(MALFORMED) from None
        self.tell(line)

    def act(self, type: int, asked: int, fields: dict[str, Any]) -> None:
        if type == ACK and asked == LOGOUT and self.buffer and self.has("goodbye-stands-alone"):
            raise Fault(MALFORMED)
        if type == ACK and asked == LOGOUT and self.buffer and self.has("last-frame-wins"):
            self.take()
        if asked == LOGOUT and type == PONG and self.has("pong-for-goodbye"):
            self.end("clean")
        if asked == LOGOUT and type == ERROR and self.has("refused-logout-ends"):
            self.end("clean")
        if type == ACK and asked == LOGOUT:
            if self.has("waits-for-eof"):
                while self.receive():
                    pass
            self.end("lost" if self.has("logout-is-loss") else "clean")
        if type == ERROR and asked == LOGIN:
            if self.has("goes-on-refused"):
                return self.put(MESSAGE, 9, b"\0hello")
            if self.replaying and self.has("resends-at-any-pong"):
                return
            if fields["code"] == HISTORY_GONE and self.has("afresh-from-old-place"):
                self.ticket, self.replaying = 0, False
                return self.log_in()
            if fields["code"] == HISTORY_GONE and self.has("back-after-gone"):
                self.end("refused", HISTORY_GONE, again=True)
            is_taken = fields["code"] == 13 and self.replaying
            self.end("refused", fields["code"], again=is_taken and not self.has("gives-up"))
        if self.replaying:
            self.replayed(type, fields)
        if type == MESSAGE and fields["sender"] == "kit":
            self.obey(fields["content"])

    def replayed(self, type: int, fields: dict[str, Any]) -> None:
        """What this event says of the requests that are in doubt (6.5)."""
        is_left = type == LEFT and self.is_name(fields["user"])
        if is_left and self.has("only-losses-settle"):
            is_left = fields["reason"] == 1
        if is_left and not self.has("own-left-means-nothing"):
            self.settle()
        if (type == MESSAGE or type >= 0x80) and self.is_own(fields["sender"]):
            said = fields["content"].encode() if type == MESSAGE else fields["data"]
            self.said_before(type, said)
        is_joined = type == JOINED and fields["user"] == self.user
        if type == PONG or (is_joined and self.has("resends-at-joined")):
            self.replaying = False
            self.settle()
            self.send_again()

    def is_name(self, user: str) -> bool:
        """Whether somebody who left had its own name."""
        if self.has("lefts-by-case"):
            return user.casefold() == self.user.casefold()
        return user == self.user

    def is_own(self, sender: str) -> bool:
        if self.has("names-by-case"):
            return sender.casefold() == self.user.casefold()
        if self.has("names-normalised"):
            return normalize("NFC", sender) == normalize("NFC", self.user)
        own = "ann" if self.has("facts-by-asked-name") else self.user
        return sender == own or self.has("any-sender")

    def said_before(self, type: int, said: bytes) -> None:
        """A fact under its own name: it is the oldest request, or settles all of them."""
        if self.has("resends-all"):
            return
        found = [at for at, kept in enumerate(self.kept) if self.is_same(kept, type, said)]
        if found == [] or (found[0] > 0 and not self.has("looks-at-all", "skips-to-the-fact")):
            return None if self.has("passes-over-other-words") else self.settle()
        first = found[0]
        if self.has("twins-are-one"):
            self.kept = deque(each for at, each in enumerate(self.kept) if at not in found)
        elif self.has("skips-to-the-fact"):
            self.kept = deque(list(self.kept)[first + 1 :])
        else:
            del self.kept[first]

    def is_same(self, kept: Request, type: int, said: bytes) -> bool:
        kind, body = kept[0], kept[1][1:]
        if not said and self.has("empty-words-are-nobodys"):
            return False
        alike = kind >= 0x80 and type >= 0x80 and self.has("applications-are-alike")
        if kind != type and not alike and not self.has("any-type"):
            return False
        if self.has("contents-by-prefix"):
            return said.startswith(body)
        if self.has("contents-normalised") and type == MESSAGE:
            return normalize("NFC", said.decode()) == normalize("NFC", body.decode())
        if self.has("data-is-compared-as-text"):
            return said.decode("utf-8", "replace") == body.decode("utf-8", "replace")
        return said == body

    def settle(self) -> None:
        """What is in doubt was not accepted."""
        self.settled += self.kept
        self.kept.clear()

    def send_again(self) -> None:
        again = [] if self.has("resends-nothing") else list(self.settled)
        self.settled.clear()
        if self.has("resends-in-reverse"):
            again.reverse()
        if self.has("resends-messages-only"):
            again = [each for each in again if each[0] == MESSAGE]
        if self.has("resends-by-kind"):
            again.sort(key=lambda each: each[0] != MESSAGE)
        if self.has("resends-the-first"):
            again = again[:1]
        for kind, body in again:
            if not self.ask(kind, body) and self.has("stops-at-too-long"):
                break
        if self.has("sends-again-once"):
            self.kept.clear()

    def obey(self, order: str) -> None:
        verb, _, rest = order.partition(" ")
        sender = self.short(self.user if self.has("writes-sender") else "")
        if verb == "resume":
            self.resumes = True
        if self.logged_out and not self.has("asks-after-logout"):
            return
        if verb == "say":
            text = rest.strip() if self.has("trims") else rest
            self.ask(MESSAGE, sender + text.encode())
        if verb == "long":
            self.ask(MESSAGE, sender + b"x" * int(rest))
        if verb == "event":
            type, _, data = rest.partition(" ")
            length = b"\0\3" if self.has("data-has-length") else b""
            self.ask(int(type), sender + length + bytes.fromhex(data))
        if verb == "ping":
            self.ask(PING, b"now" if self.has("ping-has-time") else b"")
        if verb == "logout":
            self.logged_out = True
            self.ask(LOGOUT, b"")

    def rest(self) -> None:
        """Wait before it connects again."""
        time.sleep(self.pause)

    def tell(self, line: dict[str, Any]) -> None:
        plain = not self.has("prints-control-characters")
        text = json.dumps(line, ensure_ascii=plain).replace("\x7f", "\\u007f")
        self.out.write(text.encode("utf-8", "surrogatepass") + b"\n")
        self.out.flush()

    started = False


def waited(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], SILENCE)[0])


def play(
    host: str,
    port: int,
    fault: str,
    out: BinaryIO,
    wait: Wait = waited,
    made: Callable[..., Client] = Client,
) -> None:
    """Be this client, over as many connections as it makes."""
    client = made(host, port, fault, out, wait)
    again = ("lost", "clean") if client.has("back-after-goodbye") else ("lost",)
    while client.run() in again and client.resumes:
        if client.place < 0 and client.has("tries-once"):
            client.ticket = client.position = 0
        if client.has("tells-ticket-at-loss"):
            client.tell({"event": "Ping", "session": f"{client.ticket:x}"})
        if not client.has("rushes-back"):
            client.rest()
            client.pause *= 2


def main() -> None:
    host, port, *fault = sys.argv[1:]
    play(host, int(port), fault[0] if fault else "", sys.stdout.buffer)


if __name__ == "__main__":
    main()
