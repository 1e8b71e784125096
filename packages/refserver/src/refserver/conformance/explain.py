"""`refserver explain`: what is behind a case's id, a statement's number or an error's code.

Rule: nothing is said here that does not stand in the specification, the catalogue, its
examples or eventcodec.

Layer: above `cases` and `examples`, beside the other commands.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

import click

from eventcodec import ErrorCode, vectors

from ..arguments import completing, near
from ..wording import counted
from .annotate import Piece, annotate
from .cases import SERVER_CASES
from .check import DECLARED_BY
from .complaints import complaints
from .examples import example
from .model import Case, Direction, Step
from .peer import run as client
from .peer.cases import CLIENT_CASES
from .raw import error
from .statements import statements
from .suite import UsageError

__all__ = ["explain", "explain_command", "explained"]

SHOWN = 8
"""Bytes of a field in one line."""
CASES = {case.id: case for case in (*SERVER_CASES, *CLIENT_CASES)}


def explain(what: str) -> Iterator[str]:
    """The explanation, line by line. Raises UsageError for what nobody knows."""
    asked = what.strip().upper()
    if asked in CASES:
        return _case(CASES[asked])
    if asked in statements():
        return _statement(asked)
    code = _code(asked)
    if code is None:
        meant = near(what, explained()) or "; see check --list and peer --list"
        raise UsageError(f"{what!r} is no case, no statement and no code{meant}")
    return _error(code)


def explained() -> Iterator[str]:
    """All that can be explained, by name."""
    yield from CASES
    yield from statements()
    yield from ErrorCode.__members__


def _code(asked: str) -> ErrorCode | None:
    if asked.isdecimal():
        return ErrorCode.known(int(asked))
    return ErrorCode.__members__.get(asked)


def _case(case: Case) -> Iterator[str]:
    yield f"{case.id}: {case.title}"
    yield f"  {case.level}, section {case.section}"
    for requirement in case.requirement:
        yield f"  rule   {requirement}"
    yield f"  cause  usually: {case.cause}"
    for need in case.needs:
        yield f"  needs  {need}: {CASES[need].title}"
    is_client = case in CLIENT_CASES
    for capability in case.capabilities:
        option = (
            f"peer {client.DECLARED_BY[capability]}"
            if is_client
            else f"check, {DECLARED_BY[capability]}"
        )
        yield f"  needs  {option}"
    steps = example(case.id)
    if steps:
        yield "  bytes  what the case sends, for example; positions and names differ each time:"
    for step in steps:
        yield from _step(step, "to the " if is_client else "")
    how = f"peer {case.id} -v -- COMMAND" if is_client else f"check HOST:PORT {case.id} -v"
    yield f"  run    refserver {how}"


def _step(step: Step, way: str) -> Iterator[str]:
    if step.direction is Direction.NOTE:
        yield f"         {step.who}: {step.note}"
        return
    yield f"         {way}{step.who}, {counted(step.size, 'byte')}:"
    yield from map(_piece, annotate(step.data, step.begun))
    if step.size > len(step.data):
        yield f"         … {counted(step.size - len(step.data), 'byte')}"


def _piece(piece: Piece) -> str:
    shown = piece.data[:SHOWN].hex(" ") + (" …" if len(piece.data) > SHOWN else "")
    return f"         {shown:<26}  {piece.name} {piece.said}"


def _statement(number: str) -> Iterator[str]:
    yield f"{number}: {statements()[number]}"
    proving = [case for case in CASES.values() if number in case.proves]
    for case in proving:
        yield f"  case   {case.id}: {case.title}"
    if count := _proving_vectors()[number]:
        yield f"  codecs {counted(count, 'vector')}: python -m eventcodec vectors check"
    if not proving and not count:
        yield "  no case of the kit is about it"


@cache
def _proving_vectors() -> Counter[str]:
    """How many vectors prove each statement."""
    loaded = vectors.load()
    every: list[vectors.Valid | vectors.Invalid] = [*loaded.valid, *loaded.invalid]
    return Counter(number for vector in every for number in vector.proves)


def _is_fatal_form(code: ErrorCode, text: str) -> bool:
    """Whether a statement sends this error with seq 0."""
    return f"`Error` {code.name}, seq 0" in text


def _error(code: ErrorCode) -> Iterator[str]:
    effect = "ends the connection (seq 0)"
    if not code.fatal:
        ending = ", ".join(n for n, text in statements().items() if _is_fatal_form(code, text))
        effect = "answers a request, and the connection goes on"
        effect += f"; with seq 0 it ends the connection ({ending})" if ending else ""
    yield f"{code.value} {code.name}: {code.meaning}; {effect}"
    for number, text in statements().items():
        if re.search(rf"\b{code.name}\b", text):
            yield f"  rule   {number} {text}"
    yield "  bytes  as it is sent, with an empty text:"
    yield from map(_piece, annotate(error(0 if code.fatal else 1, code)))
    for case in CASES.values():
        if code.name in case.title:
            yield f"  case   {case.id}: {case.title}"


@click.command("explain")
@click.argument("what", metavar="CASE|EP-…|CODE", shell_complete=completing(explained))
def explain_command(what: str) -> None:
    """Show the rule of a case, a statement or an error code, and the usual causes.

    \b
    Examples:
      refserver explain FRAME-07
      refserver explain EP-4.2-1
      refserver explain 13
    """
    with complaints():
        for line in explain(what):
            click.echo(line)
