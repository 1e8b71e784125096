"""Run what a page shows, as its reader would: in order, in one shell, in an empty folder.

Rule: a command of a `console` block is run, unless `ELSEWHERE` says why it is not. It exits with
0, unless its line says `# exits with N`. Each line of output on the page must come, from this
command or from one in the background; `…` stands for what differs.

A command that ends in `&` goes on in the background. It is ready when its lines have come, or its
first line if the page shows none. A command whose last line is `^C` is interrupted when the lines
before have come. A block that follows a line ending in "`FILE`:" is written to that file. A port
of `PORTS` is replaced by a free one. A page that changes /etc/hosts changes a copy.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.support.ports import unused_port

ELSEWHERE = {
    "python3 -m venv ": "makes the environment that runs this test",
    "pip install ": "would change the environment that runs this test",
    "uv ": "would change the environment that runs this test",
    "pipx ": "would change the environment that runs this test",
    "docker ": "no container engine; tests/packaging/test_container.py builds it in a chroot",
    "python -m tools.release ": "tests/packaging/test_release.py",
    "tox -e bench-": "takes minutes; tests/project has tests of each benchmark",
    "tcpdump ": "needs root; tests/watch/test_capture.py reads what tshark has written",
    "tshark -i ": "needs root; tests/conformance/test_dissected_chat.py dissects a capture",
    "refserver judge talk.pcap --port 3000 --keylog ": "tests/watch/test_tls_capture.py",
    "refserver tail room.example.org": "tests/refserver/test_behind_a_proxy.py runs real proxies",
    "refserver --ws 3001 --ws-origins http://localhost:8000 &": "tests/conformance/test_browser.py",
    "python3 -m http.server ": "tests/conformance/test_browser.py serves the same folder",
    'eval "$(_REFSERVER_COMPLETE=zsh_': "needs zsh; tests/refserver/test_client_commands.py",
    "_REFSERVER_COMPLETE=fish_": "would write into the home folder of who runs the test",
    # The service of docs/server.md, whose unit tests/refserver/test_server_page.py verifies:
    "/opt/refserver/bin/pip ": "installs on the machine",
    "ln -s /opt/refserver/": "installs on the machine",
    "refserver docs examples/refserver.service > /etc/": "installs on the machine",
    "systemctl ": "needs a systemd that runs",
    "groupadd ": "changes the groups of the machine",
    "mkdir /etc/refserver ": "installs on the machine",
    "install -g event-protocol ": "installs on the machine",
    "printf '%s\\n' REFSERVER_TOKENS=": "installs on the machine",
    "printf '%s\\n' '[Service]'": "installs on the machine",
}
"""How the commands begin that are not run here, and why."""
SHORTER = {
    "refserver check localhost:3000": "refserver check localhost:3000 'VER-*'",
    "refserver check localhost:3000 localhost:3001": (
        "refserver check localhost:3000 localhost:3001 'VER-*'"
    ),
    "refserver check :3002 --can heartbeat --can login-timeout --can evicts --pid $!": (
        "refserver check :3002 --pid $! 'STOP-*'"
    ),
    "refserver check :3003 --credential-env PAIRS": (
        "refserver check :3003 --credential-env PAIRS 'VER-*'"
    ),
    "refserver check :3000 --junit junit.xml --markdown summary.md --json mine.json": (
        "refserver check :3000 'VER-*' --junit junit.xml --markdown summary.md --json mine.json"
    ),
    "refserver peer -- ./client {host} {port}": (
        "refserver peer 'PEER-HEAD-*' -- ./client {host} {port}"
    ),
    "refserver shrink wrong.jsonl --while"
    " 'refserver serve {port} --quiet --mutant ack-without-position'": (
        "refserver shrink wrong.jsonl --limit 1 --while"
        " 'refserver serve {port} --quiet --mutant ack-without-position'"
    ),
    "refserver peer 'PEER-FACT-*' 'PEER-HEAD-*' -- python client.py {host} {port}": (
        "refserver peer 'PEER-FACT-*' 'PEER-HEAD-*' --segmentation random"
        " -- python client.py {host} {port}"
    ),
    "refserver peer 'PEER-SAY-0*' -- python wrong.py {host} {port}": (
        "refserver peer PEER-SAY-02 --segmentation random -- python wrong.py {host} {port}"
    ),
    "refserver peer 'PEER-FRAME-*' -- python theirs.py {host} {port}": (
        "refserver peer PEER-FRAME-01 --segmentation random -- python theirs.py {host} {port}"
    ),
    "refserver bench localhost:3000 --members 50 --duration 2": (
        "refserver bench localhost:3000 --members 5 --duration 0.1"
    ),
    "refserver peer -- python client.py {host} {port}": (
        "refserver peer PEER-SAY-01 --segmentation random -- python client.py {host} {port}"
    ),
}
"""What takes long, and what is enough here: other tests run every case, and shrink to the end."""
TOOLS = ("cc", "openssl", "redis-server", "tshark")
"""What a page may need beside Python and what each system has."""
PORTS = re.compile(r"\b(300[0-3]|4000|6379|8000|9100)\b")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"`(\w[\w.-]*)`:\n+\Z")
CODE = re.compile(r"# exits with (\d+)")
KILL = re.compile(r"kill (%\d+|\$!)")
INTERRUPT = "^C"
GIVES_UP = re.compile(r"\brefserver (send|ping)\b")
"""The commands that wait five seconds for a server, which a busy machine may need."""
PATIENCE = 600.0
"""Seconds until a page fails that waits for something that does not come."""


@dataclass
class Command:
    """One command of a page, and the lines that it shows behind it."""

    line: str
    shown: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """What the shell is given."""
        return self.line.partition("  #")[0].rstrip()

    @property
    def code(self) -> int:
        said = CODE.search(self.line)
        return int(said[1]) if said else 0

    @property
    def is_interrupted(self) -> bool:
        return self.shown[-1:] == [INTERRUPT]

    @property
    def reason(self) -> str:
        """Why it is not run here, or nothing."""
        return next((why for each, why in ELSEWHERE.items() if self.line.startswith(each)), "")

    @property
    def expected(self) -> list[str]:
        """The lines that must come."""
        return [line for line in self.shown if line and line != INTERRUPT]


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """The language, the text and the file of each block of a page."""
    for match in BLOCK.finditer(text):
        name = FILE.search(text[: match.start()])
        yield match[1], match[2], name[1] if name else ""


def commands(language: str, block: str) -> Iterator[Command]:
    """The commands of a block. Only those of `console` show output, and are run."""
    if language == "sh":
        block = re.sub(r"^(?=\S)", "$ ", block, flags=re.MULTILINE)
    elif language != "console":
        return
    command = None
    for line in block.splitlines():
        if command and command.line.endswith("\\"):
            command.line = f"{command.line[:-1].rstrip()} {line.strip()}"
        elif line.startswith("$ "):
            if command:
                yield command
            command = Command(line[2:])
        elif command:
            command.shown.append(line)
    if command:
        yield command


def steps(text: str) -> Iterator[Command | tuple[str, str]]:
    """What a page asks for, in its order: a command, or a file and its text."""
    for language, block, name in blocks(text):
        if name:
            yield name, block
        if language == "console":
            yield from (each for each in commands(language, block) if not each.reason)


def commands_of(text: str) -> list[Command]:
    """The commands of a page that are run."""
    return [step for step in steps(text) if isinstance(step, Command)]


def missing(text: str) -> list[str]:
    """The tools that a page needs and that this machine lacks."""
    run = [command.line for command in commands_of(text)]
    needed = [
        tool for tool in TOOLS if any(re.search(rf"(^|[|&;] *){tool} ", line) for line in run)
    ]
    return [tool for tool in needed if not shutil.which(tool)]


# ---------------------------------------------------------------- the machine


def free_ports() -> Callable[[str], str]:
    """A function that replaces each port in a text by a free one, always the same."""
    given: dict[str, str] = {}

    def free(match: re.Match[str]) -> str:
        while match[0] not in given:
            port = str(unused_port())
            if port not in given.values():
                given[match[0]] = port
        return given[match[0]]

    return partial(PORTS.sub, free)


HOSTS = "/etc/hosts"
OWN_HOSTS = f'cp {HOSTS} hosts; mount --bind hosts {HOSTS}; sudo() {{ "$@"; }}'


def own_mounts() -> list[str]:
    """How a command is started that may change what is mounted, without changing it elsewhere."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount"]


def can_mount() -> bool:
    """Whether this process may mount for itself."""
    return (
        shutil.which("unshare") is not None
        and subprocess.run([*own_mounts(), "mount", "-t", "tmpfs", "none", "/mnt"]).returncode == 0
    )


# ---------------------------------------------------------------- the shell


ENDED = "ended"


class Late(Exception):
    """What a page shows has not come."""


class Stream:
    """The lines of one named pipe."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        # For writing too, so that it has no end while nobody writes.
        self.descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.lines: list[str] = []
        self._rest = b""

    def take(self) -> None:
        """Read what is there."""
        data = self._rest + os.read(self.descriptor, 65536)
        *lines, self._rest = data.split(b"\n")
        # What is a table in a terminal has tabs in a pipe.
        self.lines += [line.decode(errors="replace").rstrip().expandtabs(1) for line in lines]


class Shell:
    """A shell. Each command writes to a stream of its own, so no line is broken by another."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder / ".streams"
        self._folder.mkdir()
        self._streams: list[Stream] = []
        self._selector = selectors.DefaultSelector()
        self._deadline = time.monotonic() + PATIENCE
        self._told = self.stream()
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, start_new_session=True
        )
        self._groups = [self._process.pid]
        self.run(f"trap 'echo {ENDED} > {self._told.path}' EXIT", self._told)

    def stream(self) -> Stream:
        """A new stream."""
        stream = Stream(self._folder / str(len(self._streams)))
        self._streams.append(stream)
        self._selector.register(stream.descriptor, selectors.EVENT_READ, stream)
        return stream

    def run(self, words: str, stream: Stream) -> None:
        """Run this now, or after what runs. Raises Late if the shell has ended."""
        assert self._process.stdin is not None
        line = f"{{ {words}\n}} </dev/null >'{stream.path}' 2>&1\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Late from None

    def tell(self, value: str) -> int:
        """The value of this expression, when all before it has been done. Raises Late."""
        before = len(self._told.lines)
        self.run(f'echo "{value}"', self._told)
        self.wait_until(lambda: len(self._told.lines) > before)
        if (said := self._told.lines[-1]) == ENDED:
            raise Late
        return int(said)

    def start(self, words: str, stream: Stream, *, own: bool) -> int:
        """Start this in the background. Returns its process, which with `own` leads a group."""
        self.run(f"set -m; {words} & set +m" if own else f"{words} &", stream)
        process = self.tell("$!")
        if own:
            self._groups.append(process)
        return process

    def wait_until(self, come: Callable[[], bool]) -> None:
        """Read until this is so. Raises Late."""
        while not come():
            if not self._read(self._deadline - time.monotonic()):
                raise Late

    def drain(self) -> None:
        """Read what has been written by now."""
        while self._read(0):
            pass

    def _read(self, wait: float) -> bool:
        ready = self._selector.select(max(0, wait))
        for key, _ in ready:
            key.data.take()
        return bool(ready)

    def close(self) -> None:
        """End it, and all that it has started."""
        for group in self._groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self._process.communicate()
        self._selector.close()
        for stream in self._streams:
            os.close(stream.descriptor)


@contextmanager
def shell(folder: Path, environment: dict[str, str], *, hosts: bool) -> Iterator[Shell]:
    """A shell in this folder. With `hosts` it has an /etc/hosts of its own."""
    one = Shell([*own_mounts(), "bash"] if hosts else ["bash"], folder, environment)
    try:
        if hosts:
            one.run(OWN_HOSTS, one.stream())
        yield one
    finally:
        one.close()


# ---------------------------------------------------------------- a page


def run_page(text: str, folder: Path) -> list[str]:
    """Run a page. Returns what was not as it says, a line for each."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    free = free_ports()
    environment = {**os.environ, "PATH": path, "REFSERVER_PORT": free("3000")}
    with shell(folder, environment, hosts=HOSTS in text) as sh:
        return list(Reader(sh, folder, free).read(text))


class Reader:
    """Who follows a page, and compares what comes with what it shows."""

    def __init__(self, sh: Shell, folder: Path, free: Callable[[str], str]) -> None:
        self._shell = sh
        self._folder = folder
        self._free = free
        self._background: list[Stream] = []

    def read(self, text: str) -> Iterator[str]:
        """Follow a page to its end. Gives a line for each difference."""
        for step in steps(text):
            if isinstance(step, Command):
                stream = self._shell.stream()
                try:
                    code = self._carry_out(step, stream)
                except Late:
                    yield f"$ {step.line}: it did not end: {stream.lines}"
                    return
                if code != step.code:
                    yield f"$ {step.line}: exit code {code}: {stream.lines}"
                if absent := self._absent(step, [stream, *self._background]):
                    yield f"$ {step.line}: no line {absent[0]!r} in {stream.lines}"
                    return
            else:
                name, content = step
                (self._folder / name).write_text(self._free(content), encoding="utf-8")

    def _carry_out(self, step: Command, stream: Stream) -> int:
        """Run a command, and wait for its lines. Returns its exit code. Raises Late."""
        words = self._free(SHORTER.get(step.words, step.words))
        if not step.code:
            words = GIVES_UP.sub(rf"\g<0> --timeout {PATIENCE:g}", words)
        if step.is_interrupted or words.endswith("&"):
            job = self._shell.start(words.removesuffix("&"), stream, own=step.is_interrupted)
            self._background.append(stream)
            self._shell.wait_until(lambda: bool(stream.lines) and not self._absent(step, [stream]))
            if not step.is_interrupted:
                return 0
            os.killpg(job, signal.SIGINT)
            words = f"wait {job}"
        self._shell.run(words, stream)
        code = self._shell.tell("$?")
        if killed := KILL.fullmatch(words):
            # Before the reader has typed the next command, it has ended.
            self._shell.run(f"wait {killed[1]}", stream)
            self._shell.tell("0")
        self._shell.drain()
        if self._background:
            with suppress(Late):
                self._shell.wait_until(lambda: not self._absent(step, [stream, *self._background]))
        return code

    def _absent(self, step: Command, streams: list[Stream]) -> list[str]:
        """The lines of a command that have come in none of these."""
        came = [line for each in streams for line in each.lines]
        expected = step.expected
        if step.words in SHORTER:  # The page has the numbers of the whole catalogue.
            expected = [re.sub(r"(?<!\S)\d.*", "…", line) for line in expected]
        return [line for line in expected if not any(map(self._form(line).fullmatch, came))]

    def _form(self, line: str) -> re.Pattern[str]:
        """What a line of the page stands for."""
        return re.compile(".*".join(map(re.escape, re.split(r"…|\.\.\.", self._free(line)))))
