"""The arguments of a command line: addresses, numbers, words.

Rule: every command reads the same form in the same way, and reports the same errors.

Layer: the bottom layer of refserver; the kit's commands use it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

import click

__all__ = [
    "PORT",
    "Number",
    "Whole",
    "a_host",
    "address",
    "an_address",
    "completing",
    "near",
    "spelled",
]
Complete = Callable[[click.Context, click.Parameter, str], list[str]]

PORT = 3000
GREATEST = 1_000_000_000
"""A greater number of seconds is more than a socket can wait."""


def address(text: str) -> tuple[str, int]:
    """HOST:PORT, of which one may be left out. Raises ValueError with the reason.

    >>> address("localhost:4000"), address(":4000"), address("4000")
    (('localhost', 4000), ('localhost', 4000), ('localhost', 4000))
    >>> address("[::1]:4000"), address("example.org")
    (('::1', 4000), ('example.org', 3000))
    """
    if not text.strip():
        raise ValueError("it is empty; HOST:PORT, or one of them")
    scheme, slashes, _ = text.partition("://")
    if slashes:
        raise ValueError(f"leave out {scheme}://, HOST:PORT is all")
    host, colon, port = text.rpartition(":")
    if (not colon and not text.isdecimal()) or text.endswith("]"):
        host, port = text, str(PORT)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address is written [::1]:{PORT}")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65_536):
        raise ValueError("a port is 1 to 65535")
    try:
        host.encode("idna")
    except UnicodeError:  # a part of it is empty, too long, or has no form in DNS
        raise ValueError("no machine can have such a name") from None
    return host or "localhost", int(port)


def spelled(host: str, port: int) -> str:
    """A host and a port in one word, which `address` reads back.

    >>> spelled("localhost", 3000), spelled("::1", 3000)
    ('localhost:3000', '[::1]:3000')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def an_address(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, int]:
    """An argument that is an address, for click."""
    try:
        return address(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}.") from None


def a_host(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A name or an address to listen on, for click; an IPv6 address may stand in brackets."""
    if value.startswith("[") and value.endswith("]"):
        return value[1:-1]
    host, colon, port = value.rpartition(":")
    if (colon and host.endswith("]")) or value.count(":") == 1:
        raise click.BadParameter(f"{value!r} has a port; write --host {host} --port {port}.")
    return value


class Whole(click.IntRange):
    """A number without a fraction; what is none is called so."""

    name = "whole number"


class Number(click.FloatRange):
    """A number, mostly of seconds; what is none, or too much to wait for, is called so."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if not abs(number) <= GREATEST:  # no comparison holds for nan
            self.fail(f"{number} is no number to count to.", param, ctx)
        return number


def near(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` if a known word is similar, else an empty text.

    >>> near("FRAME-7", ["FRAME-07", "LOGIN-01"]), near("x", ["FRAME-07"])
    ("; did you mean 'FRAME-07'?", '')
    """
    spelled = {each.upper(): each for each in known}
    found = get_close_matches(word.upper(), spelled, n=1)
    return f"; did you mean {spelled[found[0]]!r}?" if found else ""


def completing(known: Callable[[], Iterable[str]]) -> Complete:
    """The completion of a word for a shell, in upper or lower case. `known` is called only then.

    >>> completing(lambda: ["FRAME-07", "LOGIN-01"])(None, None, "fr")
    ['FRAME-07']
    """

    def complete(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
        return [each for each in known() if each.upper().startswith(begun.upper())]

    return complete
