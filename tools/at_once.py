"""Run commands at the same time, and fail if one of them does.

    python -m tools.at_once mypy pyright

Rule: what a command prints is shown as one piece, in the order in which they are named.

Layer: outside the packages.
"""

from __future__ import annotations

import shlex
import subprocess
import sys


def main(commands: list[str]) -> int:
    """The exit code: 1 if a command has failed, and which ones did is said last."""
    running = [
        subprocess.Popen(
            shlex.split(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for command in commands
    ]
    failed = []
    for command, process in zip(commands, running, strict=True):
        output, _ = process.communicate()
        print(f"$ {command}\n{output}", end="", flush=True)
        if process.returncode != 0:
            failed.append(command)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
