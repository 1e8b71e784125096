"""Run what a page shows, as its reader would: in order, in one shell, in an empty folder.

Rule: a command of a `console` block is run unless it begins as one of `NOT_HERE`; it exits with
0 unless its line says `# exits with N`. Each line of output on the page must come, from this
command or from one before it in the background; `…` stands for what differs.

A block that follows a line ending in "`FILE`:" is written to that file. Port 3000 is a free one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NOT_HERE = ("python3 -m venv ", "pip install ", "docker ", "podman ", "git clone ", "cc ", "cd ")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"`(\w[\w.-]*)`:\n+\Z")


@dataclass
class Command:
    """One command of a page, and the lines that it shows behind it."""

    line: str
    shown: list[str]

    @property
    def code(self) -> int:
        said = re.search(r"# exits with (\d+)", self.line)
        return int(said[1]) if said else 0


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """The language, the text and the file of each block of a page."""
    for match in BLOCK.finditer(text):
        name = FILE.search(text[: match.start()])
        yield match[1], match[2], name[1] if name else ""


def commands(block: str) -> Iterator[Command]:
    """The commands of a `console` block."""
    for line in block.splitlines():
        if line.startswith("$ "):
            command = Command(line[2:], [])
            yield command
        else:
            command.shown.append(line)


def script(parts: list[tuple[str, str, str]], folder: Path) -> tuple[str, list[Command]]:
    """A script that runs all commands, and marks where each begins and how it ends."""
    lines: list[str] = []
    run: list[Command] = []
    for language, text, name in parts:
        if name:
            (folder / f"{len(lines)}.{name}").write_text(text, encoding="utf-8")
            lines.append(f"cp '{len(lines)}.{name}' '{name}'")
        if language != "console":
            continue
        for command in commands(text):
            if command.line.startswith(NOT_HERE):
                continue
            number, line = len(run), command.line.partition("  #")[0].rstrip()
            run.append(command)
            if line.endswith("&"):
                # It is ready when it has written a line.
                lines += [f"mkfifo fifo.{number}", f"{line[:-1]} > fifo.{number} 2>&1 &"]
                lines += [f"exec {{in}}< fifo.{number}", "read -r first <&$in; echo $first"]
                lines += [f"cat <&$in > background.{number} &"]
            else:
                lines += [line]
            lines += [f'echo "@@ {number} $?"']
    lines += ['kill $(jobs -p) 2>/dev/null; wait; cat background.* 2>/dev/null; echo "@@ end 0"']
    return "\n".join(lines) + "\n", run


def run_page(page: Path, folder: Path, port: int) -> list[str]:
    """Run a page. Returns what was not as it says, a line for each."""
    text = page.read_text(encoding="utf-8").replace("3000", str(port))
    lines, run = script(list(blocks(text)), folder)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", lines],
        cwd=folder,
        env={**os.environ, "PATH": path, "REFSERVER_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=600,
    )
    parts = re.split(r"^@@ (\w+) (\d+)\n", done.stdout, flags=re.MULTILINE)
    told = {parts[i + 1]: (parts[i], int(parts[i + 2])) for i in range(0, len(parts) - 1, 3)}
    last = told.get("end", ("", 0))[0]
    wrong: list[str] = []
    for number, command in enumerate(run):
        output, code = told.get(str(number), ("nothing: it did not end", -1))
        if code != command.code:
            wrong.append(f"$ {command.line}: exit code {code}: {output}")
        came = (output + last).splitlines()
        for shown in filter(None, command.shown):
            form = ".*".join(map(re.escape, re.split(r"…|\.\.\.", shown)))
            if not any(re.fullmatch(form, line.rstrip()) for line in came):
                wrong.append(f"$ {command.line}: no line {shown!r} in {output}")
    return wrong
