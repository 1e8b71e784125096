"""The command line: `python -m eventcodec COMMAND`.

Rule: only arguments, files and exit codes are handled here. Text for the terminal is escaped. The
exit codes are 0 for success, 1 for a failure, 2 for wrong usage, 3 if no case ran, and 5 if the
suite itself failed or cannot write its output.

Layer: above `checking`, below `__main__`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from fnmatch import fnmatchcase
from importlib import import_module
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Any

from . import describe, exchange, jsonlines, vectors
from .codec import encode
from .decoder import ConnectionEnded, Decoder
from .dissect import HEADER_PARTS, dissect
from .errors import ErrorCode, LocalProtocolError
from .events import APPLICATION_TYPES, STANDARD_EVENTS, ApplicationEvent, Event, Unknown
from .limits import DEFAULT_MAX_FRAME, LIMITS, frame_limit
from .speedups import IMPLEMENTATION
from .terminal import printable, table
from .vectors import Invalid, Prefixes, Valid
from .version import VERSION

__all__ = ["main"]

OK, FAILED, USAGE, NO_CASE, SUITE = 0, 1, 2, 3, 5
INTERRUPTED, READER_LEFT = 130, 141
CHUNK = 65_536
SHOWN_FAILURES = 20
A_DAY = 86_400

EXAMPLES = """\
examples:
  python -m eventcodec dissect --hex '0000000c 0106 0000 0000000000000007'
  python -m eventcodec decode < frames.bin > events.jsonl
  python -m eventcodec encode --hex < events.jsonl
  python -m eventcodec vectors check -- ./decoder --fast
  python -m eventcodec selftest
"""
DESCRIBE = """\
formats:
  text       for people, with limits and error codes
  wireshark  a dissector in Lua, for Wireshark and tshark
  kaitai     a .ksy file, from which kaitai-struct-compiler makes a reader in many languages
  markdown   tables for a project's own documentation

examples:
  python -m eventcodec describe --as wireshark > eventproto.lua
  tshark -X lua_script:eventproto.lua -r capture.pcapng -Y eventproto
  python -m eventcodec describe --as kaitai --events myapp.events > frame.ksy
"""
CHECK = """\
The program gets one JSON line for each question on its standard input:

  {"id": "ping", "bytes": "0000000c010600000000000000000007",
   "receiver": "codec", "state": null, "limit": 65791}

and answers each, in the same order, with one JSON line on its standard output:

  {"event": "Ping", "seq": "7"}   the event, in the form of `decode`
  {"error": 1}                    the code of the error in these bytes
  {"incomplete": true}            no event and no error yet: more bytes are needed

Most questions are to a codec, whatever its state. With --receiver some are to one end of a
connection, and "state" is "new" or "member": bring that end into it first, so that 7 is the
next number in every respect.

  server, new: a server just started, a connection just accepted. No credential is asked for.
  server, member: a Login with seq 1 and user ann came and was answered with a Welcome of
    position 1 and max_frame 65,536.
  client, new: its requests 1 to 6, all Ping, were answered; its Login, with seq 7, was not yet.
  client, member: its Login with seq 1 was answered with a Welcome of position 1 and
    max_frame 65,536, its Messages 2 to 6 with Acks of positions 2 to 6, its Message 7 not yet.

With --encode it also gets events, and answers with their frames:

  {"id": "ping#encode", "event": {"event": "Ping", "seq": "7"}}
  {"bytes": "0000000c010600000000000000000007"}

`python -m eventcodec vectors answer` is such a program.
exit codes: 0 all right, 1 something wrong, 2 usage, 3 no case ran, 5 the suite failed,
130 interrupted (Ctrl-C, SIGTERM, SIGHUP): the answers so far are reported,
141 stdout was closed early
"""


class CommandError(Exception):
    """The command cannot start. The text is one line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    args = _parser().parse_args(argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        _give_up_output()
        return READER_LEFT
    except OSError as error:  # for example a full disk: it is no fault of the input
        _give_up_output()
        _complain(f"reading or writing failed: {error.strerror}")
        return SUITE
    except CommandError as reason:
        _complain(str(reason))
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # else Python exits with 1, the code for a fault of the input
        traceback.print_exc()
        return SUITE
    return code


def _give_up_output() -> None:
    """Stop writing: Python would try once more at its exit, and complain in its own way."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(text: str) -> None:
    print(f"eventcodec: {printable(text)}", file=sys.stderr)


# ---------------------------------------------------------------- frames


def _dissect(args: argparse.Namespace) -> int:
    with _opened(args) as stream:
        dissection = dissect(stream.read(), max_frame=args.max_frame, secrets=args.secrets)
    sys.stdout.write(dissection.text())
    return OK if dissection.error is None else FAILED


def _decode(args: argparse.Namespace) -> int:
    """A line for each event as soon as it is whole; then what is wrong, if anything is."""
    decoder = Decoder(max_frame=args.max_frame)
    secrets = args.secrets or not sys.stdout.isatty()
    with _opened(args) as stream:
        while True:
            if chunk := stream.read1(CHUNK):
                decoder.receive_data(chunk)
            else:
                decoder.receive_eof()
            for event in decoder.events():
                if isinstance(event, ConnectionEnded):
                    return OK if event.error is None else _failed(str(event.error))
                print(jsonlines.dumps(event, secrets=secrets))
            sys.stdout.flush()


def _encode(args: argparse.Namespace) -> int:
    if not args.as_hex and sys.stdout.isatty():
        raise CommandError("frames are no text; take --hex, or write them to a file")
    with _opened(args) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                frame = encode(jsonlines.loads(line))
            except LocalProtocolError as error:
                return _failed(f"line {number}: {error}")
            if args.as_hex:
                print(frame.hex())
            else:
                sys.stdout.buffer.write(frame)
    return OK


def _failed(why: str) -> int:
    sys.stdout.flush()
    _complain(why)
    return FAILED


def _opened(args: argparse.Namespace) -> AbstractContextManager[BufferedIOBase]:
    """The input: the bytes of --hex, a file, or the standard input."""
    if getattr(args, "hex", None) is not None:
        return BytesIO(args.hex)
    if args.file == "-":
        if sys.stdin.isatty():
            _complain("reading from the terminal, up to its end (Ctrl-D)")
        return nullcontext(sys.stdin.buffer)  # type: ignore[arg-type]
    try:
        return open(args.file, "rb")
    except OSError as error:
        raise CommandError(f"cannot read {args.file}: {error.strerror}") from None


# ---------------------------------------------------------------- vectors


def _list(args: argparse.Namespace) -> int:
    found = [vector for vector in _all_vectors() if fnmatchcase(vector.id, args.only)]
    for vector in found:
        print(f"{vector.id}  {_about(vector)}")
    return OK if found else NO_CASE


def _show(args: argparse.Namespace) -> int:
    vector = next((each for each in _all_vectors() if each.id == args.id), None)
    if vector is None:
        raise CommandError(f"no vector is called {args.id}; `vectors list` has them all")
    print(f"{vector.id}: {_about(vector)}")
    print(f"proves: {', '.join(vector.proves) or 'nothing by itself'}")
    match vector:
        case Valid():
            print(f"is: {json.dumps(dict(vector.event))}")
        case Invalid():
            state = "any state" if vector.state is None else f"state {vector.state}"
            print(f"found by: {vector.receiver}, {state}, limit {vector.limit}")
            print(f"is: error {vector.code} {vector.name}, due after {vector.known_after} bytes")
        case Prefixes():
            sizes = ", ".join(f"{cut.start} to {cut.stop - 1}" for cut in vector.cuts)
            print(f"is: incomplete, cut to {sizes} bytes")
    data = vector.data if isinstance(vector, Invalid) else vector.frame
    sys.stdout.write(dissect(data, secrets=True).text())
    return OK


def _all_vectors() -> list[Valid | Invalid | Prefixes]:
    every = vectors.load()
    return [*every.valid, *every.invalid, *every.prefixes]


def _about(vector: Valid | Invalid | Prefixes) -> str:
    return f"{vector.of}, cut" if isinstance(vector, Prefixes) else vector.description


def _export(args: argparse.Namespace) -> int:
    from importlib.resources import files  # it brings tempfile

    folder = Path(args.folder)
    for source in sorted(files(vectors).iterdir(), key=lambda each: each.name):
        if source.name.endswith((".json", ".md")):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / source.name).write_bytes(source.read_bytes())
            except OSError as error:
                raise CommandError(f"cannot write {error.filename}: {error.strerror}") from None
            print(folder / source.name)
    return OK


def _answer(args: argparse.Namespace) -> int:
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            print(json.dumps(exchange.answer(json.loads(line))), flush=True)
        except (LocalProtocolError, ValueError) as error:
            return _failed(f"line {number}: {error}")
    return OK


def _check(args: argparse.Namespace) -> int:
    from . import checking  # the other commands run no program

    receivers = {"codec", *args.receiver}
    every = exchange.cases(vectors.load(), receivers=receivers, encoding=args.encode)
    cases = [case for case in every if fnmatchcase(case.id, args.only)]
    try:
        report = checking.check(cases, args.program, timeout=args.timeout)
    except OSError as error:
        raise CommandError(f"cannot run {args.program[0]}: {error.strerror}") from None
    options = [f"--receiver={receiver}" for receiver in args.receiver] + ["--encode"] * args.encode
    print("\n".join(report.as_json() if args.json else report.as_text(options)))
    if report.end == checking.INTERRUPTED:
        return INTERRUPTED
    if report.asked and report.answered:
        return OK if report.passed else FAILED
    return NO_CASE


# ---------------------------------------------------------------- selftest, describe


def _selftest(args: argparse.Namespace) -> int:
    from . import selftest

    passed = True
    for result in selftest.run(args.seed):
        passed &= result.passed
        print(
            f"{'ok    ' if result.passed else 'FAILED'} {result.cases:>6}  {result.name}",
            flush=True,
        )
        for failure in result.failures[:SHOWN_FAILURES]:
            print(f"         {failure}")
    verdict = "all is well" if passed else "this installation is broken"
    print(f"seed {args.seed}, {IMPLEMENTATION}: {verdict}")
    return OK if passed else FAILED


def _describe(args: argparse.Namespace) -> int:
    if args.format == "text" and args.events:
        raise CommandError("--events needs --as wireshark, kaitai or markdown")
    if args.format != "text":
        declared = [event for module in args.events for event in _declared_in(module)]
        print(describe.FORMATS[args.format](describe.protocol(declared)), end="")
        return OK
    print("every frame: the header, then the body of its event")
    at = 0
    rows = [("offset", "field", "layout")]
    for part in HEADER_PARTS:
        rows.append((str(at), part.name, part.layout))
        at += part.subcon.size
    _print_indented(rows)
    kinds: tuple[type[Event], ...] = (*STANDARD_EVENTS, ApplicationEvent, Unknown)
    for kind in kinds:
        print(f"\n{_types(kind)} {kind.__name__}")
        _print_indented([(part.name, part.layout) for part in kind.parts])
    print("\nlimits")
    _print_indented([(limit.name, str(limit.value), limit.unit) for limit in LIMITS])
    print("\nerror codes; those with * end the connection")
    _print_indented(
        [(f"{code:>2}{'*' * code.fatal}", code.name, code.meaning) for code in ErrorCode]
    )
    return OK


def _declared_in(name: str) -> list[type[ApplicationEvent]]:
    """The application events that a module declares or imports, by type."""
    try:
        module = import_module(name)
    except ImportError as error:
        raise CommandError(f"--events {name}: {error}") from error
    found = {
        value.type: value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, ApplicationEvent)
        and value is not ApplicationEvent
    }
    if not found:
        raise LocalProtocolError(f"{name} declares no application event")
    return [found[number] for number in sorted(found)]


def _types(kind: type[Event]) -> str:
    if kind is ApplicationEvent:
        return f"{APPLICATION_TYPES[0]:#04x} to {APPLICATION_TYPES[-1]:#04x}"
    return "all others" if kind is Unknown else f"{kind.type:#04x}"


def _print_indented(rows: Sequence[Sequence[str]]) -> None:
    for line in table(rows):
        print(f"  {line}")


# ---------------------------------------------------------------- arguments


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise argparse.ArgumentTypeError("not pairs of hex digits; no 0x, no commas") from None


def _max_frame(text: str) -> int:
    try:
        return frame_limit(int(text))
    except (ValueError, LocalProtocolError):
        raise argparse.ArgumentTypeError("no number of bytes that a length can have") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= A_DAY:
        raise argparse.ArgumentTypeError("no number of seconds")
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eventcodec",
        description="Tools for Event Protocol 1.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"eventcodec {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = _command(commands, "dissect", _dissect, "show frames field by field, up to an error")
    _add_input(command, "frames")
    _add_max_frame(command)
    command.add_argument(
        "--secrets",
        action="store_true",
        help="show credentials, tickets, and unreadable bytes, which can be one of them",
    )

    command = _command(commands, "encode", _encode, "write frames from JSON lines")
    command.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help="JSON lines; - is stdin"
    )
    command.add_argument(
        "--hex", dest="as_hex", action="store_true", help="write each frame as a line of hex"
    )

    command = _command(commands, "decode", _decode, "write JSON lines from frames")
    _add_input(command, "frames")
    _add_max_frame(command)
    command.add_argument(
        "--secrets", action="store_true", help="show credentials and tickets on a terminal too"
    )

    nested = _command(commands, "vectors", None, "show the conformance vectors, test a codec")
    _add_vectors(nested.add_subparsers(title="commands", metavar="COMMAND", required=True))

    command = _command(commands, "selftest", _selftest, "check this installation")
    command.add_argument("--seed", type=int, default=1, help="seed (default: %(default)s)")

    command = _command(
        commands, "describe", _describe, "print layouts, limits and error codes", epilog=DESCRIBE
    )
    command.add_argument(
        "--as",
        dest="format",
        choices=("text", *describe.FORMATS),
        default="text",
        help="format of the output (default: %(default)s)",
    )
    command.add_argument(
        "--events",
        action="append",
        default=[],
        metavar="MODULE",
        help="describe the application events of this Python module as well; may be repeated",
    )
    return parser


def _add_vectors(commands: Any) -> None:
    command = _command(commands, "list", _list, "list the vectors")
    _add_only(command)

    command = _command(commands, "show", _show, "show one vector, field by field")
    command.add_argument("id", metavar="ID")

    command = _command(commands, "export", _export, "write the vector files into a folder")
    command.add_argument("folder", metavar="FOLDER")

    command = _command(commands, "check", _check, "test a codec in any language", epilog=CHECK)
    command.usage = f"{command.prog} [options] -- PROGRAM [ARGUMENT ...]"
    _add_only(command)
    command.add_argument(
        "--receiver",
        action="append",
        choices=exchange.RECEIVERS[1:],
        default=[],
        help="also ask for errors that only this end of a connection can find",
    )
    command.add_argument(
        "--encode", action="store_true", help="also ask for the frame of each event"
    )
    command.add_argument(
        "--timeout",
        type=_seconds,
        default=60,
        metavar="S",
        help="time for the whole run (default: %(default)s s)",
    )
    command.add_argument("--json", action="store_true", help="report as JSON")
    command.add_argument("program", nargs="+", metavar="PROGRAM", help="codec and its arguments")

    _command(commands, "answer", _answer, "answer the questions of `check` with this package")


def _command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int] | None,
    help: str,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command


def _add_input(command: argparse.ArgumentParser, what: str) -> None:
    source = command.add_mutually_exclusive_group()
    source.add_argument("file", metavar="FILE", nargs="?", default="-", help=f"{what}; - is stdin")
    source.add_argument(
        "--hex", type=_hex, metavar="HEX", help=f"{what} as hex, with or without spaces"
    )


def _add_max_frame(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--max-frame",
        type=_max_frame,
        default=DEFAULT_MAX_FRAME,
        metavar="N",
        help="maximum length of a frame, in bytes (default: %(default)s)",
    )


def _add_only(command: argparse.ArgumentParser) -> None:
    command.add_argument("--only", default="*", metavar="GLOB", help="only those whose id matches")
