"""The vectors as questions and answers, a JSON line each: what `vectors check` speaks.

Rule: every codec gets the same question, also the codec of this package. Its answer is compared
with the vectors, never with the answer of another codec.

Layer: above `vectors`, below `selftest`.

A question to a reader is `{"id", "bytes", "receiver", "state", "limit"}`: what do these bytes, as
hex, mean for this receiver? The answer is the event in its JSON form, or `{"error": code}`, or
`{"incomplete": true}`. A question to a writer is `{"id", "event"}`, and the answer `{"bytes"}`. An
answer may repeat the `id`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .codec import encode
from .connection import ClientConnection, InvalidRequest, Reply, ServerConnection
from .decoder import ConnectionEnded, Decoder
from .errors import LocalProtocolError, PeerError, RemoteProtocolError, counted
from .events import Ack, Error, Event, Login, Message, Ping, Pong, Welcome
from .jsonlines import from_object, to_object
from .limits import DEFAULT_MAX_FRAME, MAX_FRAME
from .vectors import Invalid, Vectors

__all__ = ["RECEIVERS", "Case", "answer", "cases", "complaint"]

RECEIVERS = ("codec", "server", "client")
JUDGED_BY_A_ROOM = ("BAD_USER", "HISTORY_GONE")
"""Faults that only a server with names and sessions can find, not a codec."""

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A question, and the one right answer."""

    id: str
    group: str
    description: str
    proves: tuple[str, ...]
    question: Object
    expected: Object


def cases(
    vectors: Vectors, *, receivers: Collection[str] = ("codec",), encoding: bool = False
) -> Iterator[Case]:
    """All questions to these receivers; with `encoding`, to a writer too.

    If an error is due before the frame is whole, a second question has only the bytes up to there.
    Its id ends with `#` and the number of bytes.
    """
    for valid in vectors.valid:
        about = (valid.description, valid.proves)
        event = dict(valid.event)
        yield Case(valid.id, "valid", *about, _reading(valid.id, valid.frame), event)
        if encoding:
            id = f"{valid.id}#encode"
            yield Case(
                id, "encode", *about, {"id": id, "event": event}, {"bytes": valid.frame.hex()}
            )
    for invalid in vectors.invalid:
        if invalid.receiver in receivers and invalid.name not in JUDGED_BY_A_ROOM:
            for size in sorted({invalid.known_after, len(invalid.data)}, reverse=True):
                yield _invalid(invalid, size)
    for cut in vectors.prefixes:
        for prefix in cut:
            id = f"{cut.id}#{len(prefix)}"
            about = (f"the first {counted(len(prefix), 'byte')} of {cut.of}", cut.proves)
            yield Case(id, "prefix", *about, _reading(id, prefix), {"incomplete": True})


def _invalid(invalid: Invalid, size: int) -> Case:
    id = invalid.id if size == len(invalid.data) else f"{invalid.id}#{size}"
    question = _reading(
        id, invalid.data[:size], invalid.receiver, invalid.state, limit=invalid.limit
    )
    expected = {"error": invalid.code}
    return Case(id, invalid.group, invalid.description, invalid.proves, question, expected)


def _reading(
    id: str,
    data: bytes,
    receiver: str = "codec",
    state: str | None = None,
    limit: int = DEFAULT_MAX_FRAME,
) -> dict[str, Any]:
    return {"id": id, "bytes": data.hex(), "receiver": receiver, "state": state, "limit": limit}


def complaint(case: Case, line: bytes) -> str | None:
    """The error in a line that answers the case, or None."""
    try:
        given = json.loads(line)
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    if not isinstance(given, dict):
        return "the answer is not an object"
    if given.pop("id", case.id) != case.id:
        return "the answer is to another question"
    # As text, for to Python True is 1 and 7.0 is 7.
    if json.dumps(given, sort_keys=True) == json.dumps(case.expected, sort_keys=True):
        return None
    return "not the right answer"


def answer(question: Object) -> Object:
    """This package's own answer.

    Raises LocalProtocolError for what is no question.

    >>> answer({"id": "x", "bytes": "0000000b", "receiver": "codec", "state": None, "limit": 100})
    {'error': 1}
    """
    try:
        if "event" in question:
            return {"bytes": encode(from_object(question["event"])).hex()}
        data = bytes.fromhex(question["bytes"])
        return _read(_receiver(question), data)
    except (KeyError, TypeError, ValueError) as error:
        raise LocalProtocolError(f"no question: {type(error).__name__}") from None


Receiver = Decoder | ClientConnection | ServerConnection


def _receiver(question: Object) -> Receiver:
    receiver, state = question["receiver"], question["state"]
    if receiver == "codec":
        return Decoder(max_frame=question["limit"])
    if state not in ("new", "member") or receiver not in RECEIVERS:
        raise LocalProtocolError("no receiver of the vectors is in this state")
    return _server(state) if receiver == "server" else _client(state)


def _read(receiver: Receiver, data: bytes) -> Object:
    if data:
        receiver.receive_data(data)
    match receiver.next_event():
        case None:
            return {"incomplete": True}
        case ConnectionEnded(error=RemoteProtocolError(code=code)):
            return {"error": int(code)}
        case ConnectionEnded(error=PeerError(code=code, text=text)):
            return to_object(Error(code=code, text=text))
        case InvalidRequest(error=refusal):
            return {"error": refusal.code}
        case Reply(event=reply):
            return to_object(reply)
        case event:
            assert isinstance(event, Event)
            return to_object(event)


_WELCOME = Welcome(user="ann", ticket=1, position=1, max_frame=MAX_FRAME, heartbeat=0)


def _server(state: str) -> ServerConnection:
    """A server's end as README.md of the vectors wants it."""
    server = ServerConnection()
    if state == "member":
        server.receive_data(encode(Login(seq=1, user="ann")))
        for request in server.events():
            assert isinstance(request, Login)
            server.reply(request, _WELCOME)
    return server


def _client(state: str) -> ClientConnection:
    """A client's end as README.md of the vectors wants it: 7 is the next number."""
    client = ClientConnection()
    requests: list[tuple[Event, Event]]
    if state == "new":
        requests = [(Ping(), Pong())] * 6
        last: Event = Login(user="ann")
    else:
        said = Message(content="said")
        requests = [(Login(user="ann"), _WELCOME)]
        requests += [(said, Ack(position=position)) for position in range(2, 7)]
        last = said
    for request, reply in requests:
        seq = client.send(request).seq
        client.receive_data(encode(reply.with_seq(seq)))
        client.next_event()
    client.send(last)
    return client
