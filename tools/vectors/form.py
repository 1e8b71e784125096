"""What a vector looks like in the files, and which statements it proves.

Rule: a value has one JSON form, given by its kind on the wire.

Layer: above `wire`, below the vectors.
"""

from __future__ import annotations

import re
from typing import Any

from tools.vectors.wire import CODES, EVENTS, GOES_ON, READER_LIMIT

EVENT_STATEMENTS = {
    "Login": "EP-3.2-1",
    "Message": "EP-3.3-1",
    "Logout": "EP-3.4-1",
    "Ack": "EP-3.5-1",
    "Error": "EP-3.6-1",
    "Ping": "EP-3.7-1",
    "Pong": "EP-3.7-1",
    "Welcome": "EP-3.8-1",
    "Joined": "EP-3.9-1",
    "Left": "EP-3.10-1",
    "ApplicationEvent": "EP-3.11-1",
    "Unknown": "EP-3.12-4",
}
EVERY_VALID = "EP-2.1-1 EP-2.4-1"
SPECIAL_VALID = {
    r"byte-order": "EP-2.3-1",
    r"largest-(seq|numbers)|^unknown-|^reason-": "EP-2.3-2",
    r"^(content|user|sender|text|server)-": "EP-2.3-5",
}
"""By what the id says is special."""
GROUP_STATEMENTS = {
    "length": "EP-2.1-3",
    "version": "EP-2.2-2 EP-2.2-9",
    "reserved": "EP-2.2-4 EP-2.2-9",
    "seq": "EP-2.2-6 EP-2.2-8 EP-2.2-9",
    "truncated": "",
    "inner": "",
    "stray": "EP-2.4-4",
    "text": "EP-2.3-3",
    "type": "EP-3.12-1 EP-8.3-2",
    "way": "",
    "state": "",
    "name": "EP-6.2-6 EP-6.2-5",
    "resume": "",
    "order": "",
    "foreign": "EP-2.1-3",
    "precedence": "",
}
PREFIX_STATEMENTS = "EP-2.1-1 EP-2.1-5 EP-2.1-6 EP-2.2-10"


def of_valid(event: str, id: str) -> list[str]:
    special = [numbers for pattern, numbers in SPECIAL_VALID.items() if re.search(pattern, id)]
    return statements(EVENT_STATEMENTS[event], EVERY_VALID, *special)


def statements(*lists: str) -> list[str]:
    """The numbers in these space-separated lists, each once, in order."""
    return list(dict.fromkeys(" ".join(lists).split()))


# --- What a vector looks like in the files -------------------------------------

Vector = dict[str, Any]

RUN = re.compile(r"(.{1,8}?)\1{127,}", re.DOTALL)


def packed(text: str) -> Any:
    """`text` itself, or a list of its parts where a long run would waste room."""
    parts: list[Any] = []
    end = 0
    for run in RUN.finditer(text):
        unit = run[1]
        parts += [text[end : run.start()]] if run.start() > end else []
        parts.append({"repeat": unit, "times": len(run[0]) // len(unit)})
        end = run.end()
    return [*parts, text[end:]] if end < len(text) and parts else parts or text


def packed_hex(data: bytes) -> Any:
    """`data` in lowercase hex, its long runs packed by whole bytes."""
    parts = packed(data.decode("latin-1"))
    if isinstance(parts, str):
        return data.hex()
    return [
        {"repeat": part["repeat"].encode("latin-1").hex(), "times": part["times"]}
        if isinstance(part, dict)
        else part.encode("latin-1").hex()
        for part in parts
    ]


def in_json(kind: str, value: Any) -> Any:
    if kind == "u64":
        return str(value)
    if kind in ("bytes16", "rest"):
        return packed_hex(value)
    return packed(value) if isinstance(value, str) else value


def event_form(event: str, *, seq: int, type: int | None, fields: dict[str, Any]) -> Vector:
    number, kinds = EVENTS[event]
    head = {"event": event} if number is not None else {"event": event, "type": type}
    return {
        **head,
        "seq": str(seq),
        **{name: in_json(kind, fields[name]) for name, kind in kinds.items()},
    }


def error_form(code: str) -> Vector:
    return {"code": CODES[code], "name": code}


def slug(event: str) -> str:
    return "application" if event == "ApplicationEvent" else event.lower()


def invalid(
    id: str,
    description: str,
    code: str,
    data: bytes,
    *,
    repair: Vector | None,
    receiver: str = "codec",
    state: str | None = None,
    limit: int = READER_LIMIT,
    known_after: int | None = None,
    proves: str = "",
    hidden: Vector | None = None,
) -> Vector:
    group = id.partition(".")[0]
    ends = code not in GOES_ON or receiver == "client"
    vector = {
        "id": id,
        "group": group,
        "description": description,
        "proves": statements(GROUP_STATEMENTS[group], proves),
        "receiver": receiver,
        "state": state,
        "limit": limit,
        "bytes": packed_hex(data),
        "known_after": len(data) if known_after is None else known_after,
        "error": error_form(code),
        "fatal": ends,
        "reply_seq": None if receiver == "client" else "0" if ends else "7",
        "repair": repair,
    }
    return vector if hidden is None else vector | {"hidden": hidden}


def by_bytes(data: bytes) -> Vector:
    return {"bytes": packed_hex(data)}
