"""Options that the commands which watch have in common.

Rule: each option stands here once.

Layer: below the commands.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from ..arguments import Whole, address
from ..exit_codes import WATCH_COMMANDS, in_one_line
from .disturbing import VERBS, Rule, RuleError, parsed, rules_in
from .reports import Files, complaints

__all__ = [
    "EXIT_CODES",
    "PAGE",
    "check_writable",
    "disturb_options",
    "files",
    "listen_address",
    "page_socket",
    "report_options",
]

FILE = click.Path(dir_okay=False)
EXIT_CODES = in_one_line(WATCH_COMMANDS)
"""For the end of a command's help."""
PAGE = (
    "Show the frames on a page for a browser of this machine, on this port (0: a free one); "
    "needs refserver[page]."
)
Command = Callable[..., None]


def listen_address(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, int]:
    """HOST:PORT, :PORT or PORT; port 0 is a free one."""
    host, colon, port = value.rpartition(":")
    if port == "0":
        return (host.strip("[]") if colon else "") or "localhost", 0
    try:
        return address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def page_socket(port: int | None) -> socket.socket | None:
    """Where the page is to listen. Raises UsageError where there can be none."""
    if port is None:
        return None
    for name in ("starlette", "uvicorn"):
        if find_spec(name) is None:
            raise click.UsageError(f"--page needs {name}: install refserver[page]")
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise click.UsageError(f"--page {port}: {error.strerror}") from None


def disturb_options(command: Command) -> Command:
    """What a proxy is to disturb; the command gets `rules`, in their order by verb, and `seed`."""

    @functools.wraps(command)
    def with_rules(**settings: Any) -> None:
        rules: list[Rule] = []
        for path in settings.pop("rule_files"):
            try:
                rules += rules_in(Path(path).read_text(encoding="utf-8-sig"))
            except RuleError as error:
                raise click.UsageError(f"{path}: {error}") from None
            except UnicodeDecodeError:
                raise click.UsageError(f"{path}: not UTF-8") from None
        try:
            for verb in VERBS:
                rules += (parsed(verb, value) for value in settings.pop(verb.replace("-", "_")))
        except RuleError as error:
            raise click.UsageError(str(error)) from None
        command(rules=tuple(rules), **settings)

    made = click.option(
        "--seed",
        type=Whole(0),
        help="Seed of the random decisions. Without it, the command prints the seed that it uses.",
    )(with_rules)
    made = click.option(
        "--rules",
        "rule_files",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="Read rules from a file, one in each line, for example: drop Ack:3.",
    )(made)
    for verb, about in reversed(VERBS.items()):
        value, _, what = about.partition(": ")
        metavar, what = (value, what) if what else ("HOW", about)
        text = f"{what[0].upper()}{what[1:]}."
        made = click.option(f"--{verb}", multiple=True, metavar=metavar, help=text)(made)
    return made


def report_options(command: Command) -> Command:
    """The files that are made of conversations."""
    command = click.option(
        "--mask-content", is_flag=True, help="Mask contents and data in these files too."
    )(command)
    command = click.option(
        "--unmasked", is_flag=True, help="Do not mask credentials and tickets in these files."
    )(command)
    for name, parameter, what in (
        ("--record", "record", "a recording; credentials and tickets are masked"),
        ("--pcap", "pcap", "a capture for Wireshark, masked like a recording"),
        ("--html", "as_html", "a page for a browser"),
        ("--junit", "as_junit", "JUnit XML"),
        ("--json", "as_json", "JSON (refserver/watch/judgement.schema.json)"),
    ):
        text = f"Write {what}."
        command = click.option(name, parameter, type=FILE, metavar="FILE", help=text)(command)
    return command


def check_writable(*paths: str | None) -> None:
    """Raises UsageError now, and not at the end, when all that was watched would be lost."""
    with complaints():
        for path in filter(None, paths):
            Path(path).open("ab").close()


def files(*, page: str | bool | None = False, **asked: str | bool | None) -> Files:
    """The files of `report_options`.

    Raises UsageError if one cannot be written, if --unmasked or --mask-content applies to nothing,
    or if both are given.
    """
    made = Files(**asked)  # type: ignore[arg-type]
    check_writable(made.record, made.pcap, made.as_json, made.as_junit, made.as_html)
    shows = bool(page) or made.record is not None or made.pcap is not None
    if (made.unmasked or made.mask_content) and not shows:
        raise click.UsageError("--unmasked and --mask-content are for --record and --pcap")
    if made.unmasked and made.mask_content:
        raise click.UsageError("--unmasked or --mask-content, one of them")
    if made.unmasked:
        click.echo("refserver: what is written has credentials and tickets in it", err=True)
    return made
