"""Write every generated file of this workspace from its source, or compare.

Rule: a generated file has one source and one function that makes it, named in `SOURCES`; nothing
here is random, reads a clock or runs a server, except `record`.

Layer: outside the packages, above both.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from tools.pages import ROOT

USAGE = """
python -m tools                          write all of them
python -m tools --check                  write nothing; show differences, exit 1 on one
python -m tools record mutants [NAME …]  run these mutants, or all; takes minutes
python -m tools record faults NAME …      run these faults of a client
python -m tools record judged [NAME …]   let the judge watch these mutants and faults, or all
python -m tools record provoked [NAME …] let a proxy provoke the clients with these faults, or all
python -m tools record examples [ID …]   run these cases once, or all, for `refserver explain`
"""

# In this order: the later ones read what the earlier ones write.
SOURCES = (
    "vectors.files",
    "specification",
    "session_page",
    "server_page",
    "exit_code_tables",
    "requirements",
    "causes",
    "matrix",
    "judged",
    "pictures",
)


def files(source: str) -> Mapping[Path, str]:
    """Each file that a source makes, and what has to stand in it."""
    make: Callable[[], Mapping[Path, str]] = import_module(f"tools.{source}").files
    return make()


def difference(path: Path, new: str) -> str:
    """What would change in this file, as a unified diff; empty where it is as it has to be."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    name = path.relative_to(ROOT).as_posix()
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, name, f"{name}, as its source has it"))


def generate(*, check: bool) -> int:
    """Write all files, or with `check` print what would change. Returns the exit code."""
    stale = False
    for source in SOURCES:
        for path, text in files(source).items():
            changed = difference(path, text)
            stale |= bool(changed)
            if check:
                sys.stdout.write(changed)
            elif changed:
                path.write_text(text, encoding="utf-8")
                print(path.relative_to(ROOT).as_posix())
    return int(check and stale)


def record(what: str, names: list[str]) -> int:
    """Run the kit, and write what it found."""
    if what == "examples":
        from tools import examples

        examples.record(names)
    elif what == "judged":
        from tools import judged

        judged.record(names)
    elif what == "provoked":
        from tools import provoked

        provoked.record(names)
    else:
        from tools import matrix

        matrix.record(names) if what == "mutants" else matrix.record_faults(names)
    return generate(check=False)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools",
        description=(__doc__ or "").splitlines()[0],
        epilog=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 on a difference"
    )
    commands = parser.add_subparsers(dest="command", metavar="record")
    recording = commands.add_parser("record", help="run the kit and write what it found")
    recording.add_argument("what", choices=["mutants", "faults", "judged", "provoked", "examples"])
    recording.add_argument("names", nargs="*", metavar="NAME", help="these only")
    options = parser.parse_args(arguments)
    if options.command == "record":
        return record(options.what, options.names)
    return generate(check=options.check)


if __name__ == "__main__":
    sys.exit(main())
