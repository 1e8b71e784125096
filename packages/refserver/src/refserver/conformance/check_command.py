"""`refserver check`: test a server.

Rule: results go to stdout, complaints to stderr, and the exit code never lies.

Layer: the top of the kit, beside its other commands.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from ssl import SSLContext

import click

from ..arguments import Whole, spelled
from ..arguments import address as an_address
from ..client.network import trusting
from . import raw
from .attempt import Setting
from .cases import SERVER_CASES
from .check import CAPABILITIES, Greeting, ServerDriver, check, probe, resolve
from .complaints import complaints
from .names import Identity
from .options import (
    EXISTING,
    EXIT_CODES,
    Asked,
    ids_argument,
    list_cases,
    suite_options,
)
from .streams import Wrap, over_tls
from .suite import UsageError

__all__ = ["check_command"]


@click.command("check", epilog=EXIT_CODES)
@ids_argument("words", SERVER_CASES, "HOST:PORT... [ID]...")
@click.option(
    "--can",
    "abilities",
    type=click.Choice(list(CAPABILITIES)),
    multiple=True,
    help="Declare an ability of the server: "
    + "; ".join(f"{name} ({text})" for name, (on, text) in CAPABILITIES.items() if not on),
)
@click.option(
    "--cannot",
    "inabilities",
    type=click.Choice([name for name, (on, _) in CAPABILITIES.items() if on]),
    multiple=True,
    help="Declare an ability that the server does not have.",
)
@click.option(
    "--credential-env",
    metavar="NAME",
    help="Name of the environment variable with name:credential pairs, separated by spaces, for "
    "a server that checks credentials. To run every case, give four pairs.",
)
@click.option("--tls", is_flag=True, help="Connect over TLS, which cannot half-close.")
@click.option("--ca", type=EXISTING, help="Trust these certificates; implies --tls.")
@click.option(
    "--pid",
    type=Whole(2),
    metavar="PID",
    help="Process id of the server. The kit stops the server at the end.",
)
@click.option(
    "--stop-command",
    metavar="COMMAND",
    help="Command that stops the server at the end. It runs without a shell; use sh -c '...' if "
    "it needs one.",
)
@suite_options(SERVER_CASES)
def check_command(
    asked: Asked,
    words: tuple[str, ...],
    abilities: tuple[str, ...],
    inabilities: tuple[str, ...],
    credential_env: str | None,
    tls: bool,
    ca: Path | None,
    pid: int | None,
    stop_command: str | None,
) -> None:
    """Test the server at HOST:PORT, with all cases or some (FRAME-07, 'LOGIN-*').

    You can leave out the host or the port: localhost, :3000, 3000. ws://HOST:PORT tests over
    WebSocket; the report marks cases that cannot run there as unsupported. With several HOST:PORT,
    the connections of a case go to the servers in turn: this tests servers that share one room.
    `refserver docs conformance` explains the reports.

    \b
    Examples:
      refserver check localhost:3000
      refserver check ws://localhost:3001
      refserver check :3000 :3001
      refserver check :3000 'FRAME-*' --segmentation bytewise
      refserver check :3000 --html report.html --json report.json
      refserver check --list 'LOGIN-*'
    """
    with complaints():
        places, ids = aimed(words)
        if asked.listing:
            return list_cases(asked.chosen(ids))
        if not places:
            raise UsageError("which server? HOST:PORT comes first")
        where, *others = places
        if any(other.scheme != where.scheme for other in others):
            raise UsageError("all servers of a room are reached in the same way")
        tls = tls or where.scheme == "wss"
        stop = stopping(pid, stop_command)
        identities = credentials(credential_env)
        declared = capabilities(abilities, inabilities, identities, stop)
        declared |= {"websocket"} if where.scheme else set()
        plan = asked.plan(ids, declared)
        host, port = where.host, where.port
        setting = Setting(
            address=resolve(host, port, asked.timeout),
            others=tuple(resolve(each.host, each.port, asked.timeout) for each in others),
            wrap=wrapping(where, trusting(ca) if tls or ca else None),
            timeout=asked.timeout,
            capabilities=declared,
            identities=identities,
            stop=stop,
        )
        driver = ServerDriver(
            setting=setting,
            target=" ".join(map(str, places)),
            seed=asked.some_seed(),
            token=secrets.token_hex(3),
            options=asked.again,
        )
        greeting = probe(setting, driver.token)
        if failure := misfit(greeting, setting):
            click.echo(f"refserver: {failure}", err=True)
        if greeting.frame is None:
            plan = dataclasses.replace(
                plan, give_up=f"no frame came to a Login: {greeting.failure}"
            )
        said = (greeting.frame and greeting.frame.text("server")) or b""
        name = asked.name or said.decode("utf-8", "replace") or driver.target
        asked.run(plan, lambda show: check(plan, driver, name=name, on_result=show))


def misfit(greeting: Greeting, setting: Setting) -> str:
    """What the answer to a login says about the port and the options, empty where nothing."""
    frame = greeting.frame
    if frame is None:
        is_named = "perhaps" in greeting.failure or setting.wrap is not None
        hint = "" if is_named else "; the port may speak TLS: --tls"
        return f"no frame came to a Login: {greeting.failure}{hint}"
    if frame.number("code") == raw.UNAUTHORIZED and not setting.identities:
        return "the server asks for credentials: --credential-env"
    return ""


@dataclasses.dataclass(frozen=True, slots=True)
class Where:
    """A server, and how it is reached: the scheme is empty, ws or wss."""

    host: str
    port: int
    scheme: str = ""
    path: str = ""

    def __str__(self) -> str:
        where = spelled(self.host, self.port)
        return f"{self.scheme}://{where}{self.path}" if self.scheme else where

    @classmethod
    def of(cls, text: str) -> Where:
        """HOST:PORT, or a URL of WebSocket. Raises ValueError.

        >>> str(Where.of(":3001")), str(Where.of("ws://localhost:3001/room"))
        ('localhost:3001', 'ws://localhost:3001/room')
        """
        scheme, _, rest = text.partition("://")
        if scheme not in ("ws", "wss"):
            return cls(*an_address(text))
        place, slash, path = rest.partition("/")
        return cls(*an_address(place), scheme=scheme, path=slash + path)


def wrapping(where: Where, context: SSLContext | None) -> Wrap | None:
    """What each connection speaks below the frames. Raises UsageError without `websockets`."""
    if not where.scheme:
        return None if context is None else over_tls(context, where.host)
    try:
        from .websocket import over_websocket
    except ImportError as error:
        raise UsageError(f"{where.scheme}:// needs websockets: install refserver[ws]") from error
    if context is not None and where.scheme == "ws":
        raise UsageError("over TLS the address begins with wss://")
    return over_websocket(where.host, where.port, where.path, context)


def aimed(words: Sequence[str]) -> tuple[list[Where], Sequence[str]]:
    """The addresses that come first, and the ids. Raises UsageError.

    >>> places, ids = aimed([":3000", ":3001", "FRAME-*"])
    >>> [str(each) for each in places], ids
    (['localhost:3000', 'localhost:3001'], ['FRAME-*'])
    """
    families = {case.id.rpartition("-")[0] for case in SERVER_CASES}
    places: list[Where] = []
    for word in words:
        if "*" in word or word.upper().partition("-")[0] in families:
            break
        if places and not {":", "."} & set(word) and not word.isdecimal():
            break  # a mistyped id, of which the catalogue says so
        try:
            places.append(Where.of(word))
        except ValueError as error:
            raise UsageError(f"{word!r}: {error}") from None
    return places, words[len(places) :]


def capabilities(
    abilities: Sequence[str],
    inabilities: Sequence[str],
    identities: Sequence[Identity],
    stop: Callable[[], str] | None,
) -> frozenset[str]:
    """All that is declared about the server."""
    both = set(abilities) & set(inabilities)
    if both:
        raise UsageError(f"--can and --cannot {both.pop()}")
    declared = {name for name, (on, _) in CAPABILITIES.items() if on} - set(inabilities)
    declared |= set(abilities)
    declared.add("credentials" if identities else "any-name")
    declared |= {"no-presence"} if "presence" in inabilities else set()
    declared |= {"shutdown"} if stop is not None else set()
    return frozenset(declared)


def credentials(variable: str | None) -> tuple[Identity, ...]:
    """Who may log in: from the environment, never from the command line, which others read."""
    if variable is None:
        return ()
    pairs = [each.partition(":") for each in os.environ.get(variable, "").split()]
    if not pairs or not all(name and credential for name, _, credential in pairs):
        raise UsageError(f"the environment variable {variable} has no name:credential")
    return tuple(Identity(name, credential.encode()) for name, _, credential in pairs)


def stopping(pid: int | None, command: str | None) -> Callable[[], str] | None:
    """What makes the server shut down, if anything was given; it returns what went wrong, or ""."""
    if pid is not None and command is not None:
        raise UsageError("--pid or --stop-command, one of them")
    if pid is not None:
        if sys.platform == "win32":  # where every signal ends a process at once
            raise UsageError("--pid: Windows has no SIGTERM; give --stop-command")
        if failure := signalled(pid, 0):
            raise UsageError(f"--pid: {failure}")
        return partial(signalled, pid, signal.SIGTERM)
    if command is not None:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--stop-command: {error}") from None
        if sign := shell_syntax(command):
            raise UsageError(f"--stop-command: no shell reads {sign!r}; say: sh -c '...'")
        if not words or shutil.which(words[0]) is None:
            raise UsageError(f"--stop-command: there is no program {''.join(words[:1])!r}")
        return partial(run_to_stop, words)
    return None


def shell_syntax(command: str) -> str:
    """The first word of a command that only a shell understands, empty where none is.

    >>> shell_syntax("stop --now; sync"), shell_syntax("stop $PID"), shell_syntax("sh -c 'a; b'")
    (';', '$PID', '')
    """
    words = shlex.shlex(command, posix=False, punctuation_chars=True)
    words.whitespace_split = True
    signs = (word for word in words if set(word) <= set("();<>|&") or _is_expanded(word))
    return next(signs, "")


def _is_expanded(word: str) -> bool:
    return not word.startswith("'") and not {"$", "`"}.isdisjoint(word)


def signalled(pid: int, number: int) -> str:
    """Send a signal, 0 to see whether one could; returns what went wrong, or ""."""
    try:
        os.kill(pid, number)
    except OSError as error:
        return f"process {pid}: {error.strerror}"
    return ""


def run_to_stop(words: list[str]) -> str:
    try:
        done = subprocess.run(words, stdout=subprocess.DEVNULL, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return f"the stop command ended with code {done.returncode}" if done.returncode else ""
