"""The exit codes of refserver.

Rule: each exit code has one meaning, which only this module defines; help texts and pages are
generated from it.

Layer: the bottom layer of refserver.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

__all__ = ["CLIENT_COMMANDS", "SERVE", "TEST_COMMANDS", "WATCH_COMMANDS", "Exit", "in_one_line"]


class Exit(IntEnum):
    """An exit code; its meaning is the same for every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_CASE_RAN = 3
    UNREACHABLE = 4
    BROKEN = 5
    INTERRUPTED = 130
    READER_LEFT = 141


_ALL: Mapping[Exit, str] = {
    Exit.USAGE: "the command line is wrong",
    Exit.READER_LEFT: "the reader of stdout closed it early (`| head -1`), as with SIGPIPE",
}

SERVE: Mapping[Exit, str] = {
    Exit.DONE: "stopped by SIGTERM or SIGINT",
    Exit.USAGE: "an invalid setting, or an address that is in use",
    Exit.BROKEN: "stdout cannot be written",
    Exit.READER_LEFT: _ALL[Exit.READER_LEFT],
}
"""The exit codes of `refserver serve`."""

CLIENT_COMMANDS: Mapping[Exit, str] = {
    Exit.DONE: "done",
    Exit.FAILED: "refused, connection lost, ended by the server, or too late (`--timeout`)",
    Exit.USAGE: "the command line is wrong, or has a value that no frame can carry",
    Exit.UNREACHABLE: "the server cannot be reached",
    Exit.BROKEN: "stdout cannot be written: a full disk, for example",
    Exit.INTERRUPTED: "`send` was interrupted (Ctrl-C); `tail` then exits with 0",
    Exit.READER_LEFT: _ALL[Exit.READER_LEFT],
}
"""The exit codes of `refserver send` and `refserver tail`."""

TEST_COMMANDS: Mapping[Exit, str] = {
    Exit.DONE: "everything as expected",
    Exit.FAILED: "a case failed, was unstable or inconclusive, or an expected failure passed",
    Exit.USAGE: _ALL[Exit.USAGE],
    Exit.NO_CASE_RAN: "no case ran",
    Exit.UNREACHABLE: "the server cannot be reached, or the client's command cannot be started",
    Exit.BROKEN: "the kit itself failed, or stdout cannot be written",
    Exit.INTERRUPTED: "interrupted (Ctrl-C, SIGTERM, SIGHUP): the results so far are shown, "
    "and the reports are written",
    Exit.READER_LEFT: _ALL[Exit.READER_LEFT] + "; the reports are written",
}
"""The exit codes of `refserver check`, `peer` and `report merge`."""

WATCH_COMMANDS: Mapping[Exit, str] = {
    Exit.DONE: "no finding; `shrink`: the recording is written",
    Exit.FAILED: "a finding; `replay`: also a departure",
    Exit.USAGE: "the command line is wrong, or a file cannot be read",
    Exit.NO_CASE_RAN: "nothing was judged: no frame was seen; `shrink`: the finding did not come",
    Exit.UNREACHABLE: "`replay`: the server cannot be reached",
    Exit.BROKEN: "stdout cannot be written",
    Exit.READER_LEFT: _ALL[Exit.READER_LEFT],
}
"""The exit codes of `refserver judge`, `proxy`, `replay` and `shrink`."""


def in_one_line(meanings: Mapping[Exit, str]) -> str:
    """The exit codes of a command, for the end of its `--help`.

    >>> in_one_line({Exit.DONE: "done", Exit.FAILED: "refused"})
    'Exit codes: 0 done; 1 refused.'
    """
    told = "; ".join(f"{code:d} {text.replace('`', '')}" for code, text in meanings.items())
    return f"Exit codes: {told}."
