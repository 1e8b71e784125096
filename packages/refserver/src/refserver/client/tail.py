"""`refserver tail`: what happens in a room, line by line, over as many connections as it takes.

Rule: it prints facts. What follows from the end of a connection is decided by the room of
`shell`.

Layer: below `commands`, above `shell`.
"""

from __future__ import annotations

import json
import string
import time
from collections.abc import Container
from contextlib import suppress
from datetime import UTC, datetime

import click

from eventcodec import Fact, Joined, Left, Message, Unknown, encode, jsonlines

from ..arguments import Number, Whole
from ..characters import escape
from .blocking import Room
from .network import CommandError
from .options import EXIT_CODES, Target, connecting, retrying
from .shell import Watching, enter, in_room

__all__ = ["tail"]

FIELDS: tuple[str, ...] = (
    "position",
    "event",
    "type",
    "sender",
    "user",
    "content",
    "data",
    "reason",
)
"""The fields for a template."""
KINDS = ("Message", "Joined", "Left", "ApplicationEvent", "Unknown")
"""The kinds of events that are printed."""
Shown = Fact | Unknown
SECONDS = Number(min=0, min_open=True)


def _template(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        for _, field, spec, _ in string.Formatter().parse(value or ""):
            if field is not None and field not in FIELDS:
                known = ", ".join(FIELDS)
                raise click.BadParameter(f"{{{field}}} is no field; known are {known}.")
            if "{" in (spec or ""):
                raise click.BadParameter("a field within a field is not allowed.")
        (value or "").format_map(dict.fromkeys(FIELDS, ""))
    except ValueError as error:  # Python's own words: a brace without its other, for example
        raise click.BadParameter(f"{value!r}: {error}.") from None
    return value


def _fields(event: Shown) -> dict[str, str]:
    """The fields for a template, escaped; empty if the event does not have the field."""
    told = dict.fromkeys(FIELDS, "")
    told |= {"event": type(event).__name__, "type": f"0x{event.type:02X}"}
    if not isinstance(event, Unknown):
        told["position"] = str(event.seq)
    for name in ("sender", "user", "content"):
        told[name] = escape(getattr(event, name, ""))
    told["data"] = (getattr(event, "data", b"") or getattr(event, "body", b"")).hex()
    if isinstance(event, Left):
        told["reason"] = event.why.name.lower()
    return told


def _line(event: Shown) -> str:
    """A fact as a line for people."""
    form = {
        Message: "{position} {sender}: {content}",
        Joined: "{position} {user} joined",
        Left: "{position} {user} left{how}",
        Unknown: "- unknown type {type} {data}",
    }.get(type(event), "{position} {sender}: {type} {data}")
    how = f" ({event.why.name.lower()})" if isinstance(event, Left) and event.reason else ""
    return form.format_map(_fields(event) | {"how": how})


class Printer:
    """Prints facts in the form that was asked for."""

    def __init__(self, *, as_json: bool, raw: bool, template: str | None, timestamps: bool) -> None:
        if [as_json, raw, template is not None].count(True) > 1:
            raise click.UsageError("use only one of --json, --raw and --format")
        self._as_json = as_json
        self._raw = raw
        self._template = template
        self._timestamps = timestamps

    def __call__(self, event: Shown) -> None:
        click.echo(self._said(event, _now() if self._timestamps else ""))

    def _said(self, event: Shown, at: str) -> str:
        if self._as_json:
            said = jsonlines.dumps(event, secrets=False)
            return json.dumps({"time": at, **json.loads(said)}) if at else said
        if self._raw:
            line = encode(event).hex()
        elif self._template is None:
            line = _line(event)
        else:
            line = self._template.format_map(_fields(event))
        return f"{at} {line}" if at else line


def _now() -> str:
    """The time, in UTC, to milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _follow(
    room: Room,
    watching: Watching,
    show: Printer,
    *,
    only: Container[str],
    count: int | None,
    idle: float | None,
) -> None:
    """Show facts until there were `count`, or none for `idle` seconds."""
    quiet_at = None if idle is None else time.monotonic() + idle
    while True:
        for fact in room.take():  # the first ones can have come with the Welcome
            if isinstance(fact, Shown) and type(fact).__name__ in only and count != 0:
                show(fact)
                count = None if count is None else count - 1
                quiet_at = None if idle is None else time.monotonic() + idle
        if count == 0:
            return
        if watching.failure:
            raise CommandError(watching.failure)
        left = None if quiet_at is None else quiet_at - time.monotonic()
        if left is not None and left <= 0:
            return
        room.wait(left)
        if watching.is_behind:
            watching.is_behind = False
            room.go_on()


@click.command(epilog=EXIT_CODES)
@connecting
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
@click.option(
    "--format",
    "template",
    metavar="TEMPLATE",
    callback=_template,
    help="Print each event in this format; a field stands in braces: "
    f"{', '.join(FIELDS)}. A field that the event does not have is empty.",
)
@click.option("--raw", is_flag=True, help="Print the frame of each event, in hex.")
@click.option("--timestamps", is_flag=True, help="Print when each event came, in UTC.")
@click.option(
    "--only",
    type=click.Choice(KINDS, case_sensitive=False),
    multiple=True,
    help="Print only events of this kind; can be repeated.",
)
@click.option("-n", "count", type=Whole(min=1), help="Exit after this number of events.")
@click.option(
    "--idle", type=SECONDS, metavar="SECONDS", help="Exit after this time without an event."
)
@retrying("and print what was missed")
def tail(
    to: Target,
    as_json: bool,
    template: str | None,
    raw: bool,
    timestamps: bool,
    only: tuple[str, ...],
    count: int | None,
    idle: float | None,
    retry: bool,
) -> None:
    """Print the events of a room, one line each, until Ctrl-C.

    HOST:PORT can also be only one of them: localhost, :3000, 3000.

    \b
    Examples:
      refserver tail localhost:3000 --as bob
      refserver tail localhost:3000 --as bob --json -n 10
      refserver tail localhost:3000 --retry --timestamps >> room.log
      refserver tail localhost:3000 --only Message --format '{sender}: {content}'
    """
    show = Printer(as_json=as_json, raw=raw, template=template, timestamps=timestamps)
    how = in_room(to, retries=retry, listen=True)
    with how as (room, watching), suppress(KeyboardInterrupt):  # the usual end: log out
        enter(room, watching, to.timeout)
        _follow(room, watching, show, only=only or KINDS, count=count, idle=idle)
