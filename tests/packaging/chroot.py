"""Carry out a Containerfile in a chroot, where no container engine is.

Rule: every instruction is carried out or unknown, and an unknown one is an error. The base
images are stood in for by this machine: its /usr and its Python, read-only.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

LENT = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", sys.base_prefix),
    *map(str, Path("/opt").iterdir()),
)
"""What this machine lends to a root, read-only; what is no folder or a link is left out."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NEW_SPACES = ["--mount", "--net", "--pid", "--fork", "--kill-child"]


@dataclass
class Stage:
    """A root, and what the instructions have said about how it is run."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    stop: str = ""
    ports: list[int] = field(default_factory=list)


def is_possible() -> bool:
    """Whether this process may make namespaces and mounts."""
    needed = ["unshare", "nsenter", "setpriv", "chroot", "ip", f"{sys.base_prefix}/bin/python"]
    if os.geteuid() != 0 or not all(map(shutil.which, needed)):
        return False
    done = subprocess.run(["unshare", *NEW_SPACES, "mount", "-t", "tmpfs", "none", "/mnt"])
    return done.returncode == 0


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction of a Containerfile, and what follows it."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


def carried_out(text: str, context: Path, folder: Path) -> Stage:
    """The last stage, with every instruction carried out.

    The umask is an engine's, whatever it is here: the image serves as nobody, who reads its files.
    """
    before = os.umask(0o022)
    try:
        return _carried_out(text, context, folder)
    finally:
        os.umask(before)


def _carried_out(text: str, context: Path, folder: Path) -> Stage:
    stages: dict[str, Stage] = {}
    stage = None
    for word, rest in instructions(text):
        if word == "FROM":
            _image, _, name = rest.partition(" AS ")
            stage = Stage(folder / str(len(stages)))
            stages[name or str(len(stages))] = stage
            _base(stage.root)
            continue
        assert stage is not None, "the first instruction is FROM"
        match word:
            case "COPY":
                *options, source, target = shlex.split(rest)
                other = [each.removeprefix("--from=") for each in options]
                top = stages[other[0]].root if other else context
                shutil.copytree(
                    top / source.lstrip("/"),
                    stage.root / target.lstrip("/"),
                    symlinks=True,
                    ignore=None if other else ignored(context),
                )
            case "RUN":
                command = ["unshare", "--mount", *_entered(stage, ["sh", "-c", rest])]
                pip = {name: value for name, value in os.environ.items() if "PIP_" in name}
                subprocess.run(command, env={**stage.environment, **pip}, check=True)
            case "ENV":
                name, _, value = rest.partition("=")
                stage.environment[name] = Template(value).substitute(stage.environment)
            case "USER":
                stage.user = rest
            case "EXPOSE":
                stage.ports.append(int(rest))
            case "STOPSIGNAL":
                stage.stop = rest
            case "HEALTHCHECK":
                stage.health = json.loads(rest.partition("CMD ")[2])
            case "ENTRYPOINT":
                stage.entrypoint = json.loads(rest)
            case _:
                raise ValueError(f"what does {word} do?")
    assert stage is not None
    return stage


def ignored(context: Path) -> Callable[[str, list[str]], set[str]]:
    """What an engine leaves out of a context, for `shutil.copytree`."""
    lines = (context / ".dockerignore").read_text(encoding="utf-8").splitlines()
    names = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    return shutil.ignore_patterns(*names)


def _base(root: Path) -> None:
    """The folders of an image of Python."""
    for name in ("tmp", "proc", "dev"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name in LENT:
        path = Path(name)
        here = root / name.lstrip("/")
        if path.is_symlink():
            here.symlink_to(os.readlink(path))
        elif path.is_dir():
            here.mkdir(parents=True, exist_ok=True)


def _entered(stage: Stage, command: Sequence[str], user: str = "0:0") -> list[str]:
    """The command in the root, with what is lent mounted."""
    root = stage.root
    lines = ["set -e"]
    for name in LENT:
        here = root / name.lstrip("/")
        # A folder that an instruction has filled is its own.
        if here.is_dir() and not here.is_symlink() and not any(here.iterdir()):
            lines += [f"mount --rbind {name} {here}"]
    lines += [
        # Where the image has its Python; it comes over what is there in /usr.
        f"mount --rbind {sys.base_prefix} {root}/usr/local",
        f"mount --bind /dev {root}/dev",
        f"mount -t proc proc {root}/proc",
        f'exec chroot --userspec={user} {root} "$@"',
    ]
    return ["sh", "-c", "\n".join(lines), "sh", *command]


@contextmanager
def started(stage: Stage, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The entrypoint as the first process of a container with its own network, and its number."""
    server = _entered(stage, [*stage.entrypoint, *arguments], stage.user)
    prepare = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    with subprocess.Popen(
        ["unshare", *NEW_SPACES, *prepare, *server],
        env=stage.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        number = 0
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            while not children.read_text() and process.poll() is None:
                pass
            number = int((children.read_text() if process.poll() is None else "0").split()[0])
            yield process, number
        finally:
            if number and process.poll() is None:  # else its number may be another's by now
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            process.kill()


def beside(number: int, *command: str) -> subprocess.CompletedProcess[str]:
    """A command of this machine in the network of a container."""
    return subprocess.run(
        ["nsenter", "--target", str(number), "--net", *command],
        capture_output=True,
        text=True,
        timeout=600,
    )


def within(stage: Stage, number: int, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in a container that runs, as an engine's `exec` and its health check do it."""
    entered = ["nsenter", "--target", str(number), "--net", "--pid", "--root", "--wd=/"]
    return subprocess.run(
        [*entered, "setpriv", "--reuid=65532", "--clear-groups", *command],
        env=stage.environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
