"""What a start imports: each command and each client only what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

EVENTCODEC = frozenset({"construct", "eventcodec"})
NETWORK = frozenset({"asyncio", "ssl", "websockets"})
SERVER = frozenset({"refserver.server.server", "refserver.session.session"})
CASES = frozenset({"refserver.conformance.cases"})
REPORTS = frozenset({"http.client", "jinja2", "rich", "xml.etree.ElementTree"})
WATCH = frozenset({"refserver.watch"})
OTHERS = frozenset({"redis", "refserver.cluster", "refserver.mutants"})
ALL = EVENTCODEC | NETWORK | SERVER | CASES | REPORTS | WATCH | OTHERS

MARK = "imported:"

ABSENT = {
    "--version": ALL | {"socket"},
    "--help": ALL | {"socket"},
    "docs --folder": ALL | {"socket"},
    "token ann": ALL - EVENTCODEC | {"socket"},
    "judge --help": ALL - EVENTCODEC - WATCH | {"subprocess"},
    "watch --help": ALL - EVENTCODEC - WATCH | {"socket", "subprocess"},
    "proxy --help": ALL - EVENTCODEC - NETWORK - WATCH | {"websockets"},
    "send --help": ALL - EVENTCODEC - {"ssl"},
    "explain 13": ALL - EVENTCODEC - CASES - {"ssl"},
    "check --list": ALL - EVENTCODEC - CASES - {"ssl"},
    "serve --tokens does/not/exist": ALL - EVENTCODEC - NETWORK - SERVER | {"websockets"},
}
"""What is not imported by a command. `serve` fails when it has imported all that a server needs."""

ABSENT_BESIDE = {
    "refserver.client.blocking": ALL - EVENTCODEC - {"ssl"} | {"click"},
    "refserver.client.aio": ALL - EVENTCODEC - NETWORK | {"click", "websockets"},
    "refserver.conformance.reports.badge": ALL - EVENTCODEC,
    "refserver.conformance.reports.console": ALL - EVENTCODEC - REPORTS | {"rich.progress"},
    "refserver.launcher": ALL | {"click"},
    "refserver.watch.watcher": ALL - EVENTCODEC - WATCH,
}
"""What is not imported by a module."""


def imported(code: str, *arguments: str, beside: str) -> set[str]:
    """All modules that this code imports, in a process of its own; what `beside` imports is not
    counted.
    """
    tell = f"print({MARK!r}, *set(sys.modules) - before, file=sys.stderr)"
    program = (
        f"import sys, {beside}; before = set(sys.modules)\ntry:\n    {code}\nfinally:\n    {tell}"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True)
    (line,) = (line for line in done.stderr.decode().splitlines() if line.startswith(MARK))
    return set(line.split())


def unneeded(absent: frozenset[str], code: str, *arguments: str) -> set[str]:
    """Of these modules, those that the code imports all the same.

    What construct imports is not counted: on Python 3.14 it brings asyncio.
    """
    beside = "os" if absent >= EVENTCODEC else "construct"
    found = imported(code, *arguments, beside=beside)
    assert any(name.startswith("refserver") for name in found)
    return set(absent & found)


@pytest.mark.parametrize("words", ABSENT)
def test_a_command_imports_only_what_it_needs(words: str) -> None:
    code = "from refserver.cli import main; main(prog_name='refserver')"

    assert unneeded(ABSENT[words], code, *words.split()) == set()


def test_a_shell_that_completes_the_first_word_imports_no_command() -> None:
    code = (
        "from refserver.cli import main; from click.shell_completion import ShellComplete as S; "
        "print(S(main, {}, 'refserver', '_REFSERVER_COMPLETE').get_completions([], 's'))"
    )

    assert unneeded(ALL | {"refserver.serve_command"}, code) == set()


@pytest.mark.parametrize("module", ABSENT_BESIDE)
def test_a_module_imports_only_what_it_needs(module: str) -> None:
    assert unneeded(ABSENT_BESIDE[module], f"import {module}") == set()


def test_a_judge_that_names_a_cause_loads_no_case() -> None:
    code = (
        "from refserver.watch.causes import usual_cause; "
        "from refserver.watch.conversation import Side; "
        "assert usual_cause('EP-3.3-2', Side.CLIENT)"
    )

    assert unneeded(ALL - EVENTCODEC - WATCH, code) == set()
