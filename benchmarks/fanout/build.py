"""Compile the load generator and the C floor with the system's compiler.

Rule: a program is built when a source is newer than it, and never otherwise.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent
BUILD = SOURCES.parent / "build"
FLAGS = ("-O2", "-std=gnu17", "-Wall", "-Wextra", "-Wshadow", "-Werror")
PROGRAMS = {
    "loadgen": ("loadgen.c", "event.c", "redis.c", "mqtt.c", "nats.c", "tls.c"),
    "floor": ("floor.c",),
}


class NoCompiler(Exception):
    """The benchmarks need a C compiler: `cc` on PATH, or $CC."""


def compiler() -> str:
    """The C compiler's path."""
    found = shutil.which(os.environ.get("CC", "cc"))
    if found is None:
        raise NoCompiler(NoCompiler.__doc__)
    return found


def has_openssl() -> bool:
    """Whether OpenSSL's program is there, and its headers: else the rows over TLS are left out."""
    if shutil.which("openssl") is None:
        return False
    command = [compiler(), "-E", "-x", "c", "-"]
    source = "#include <openssl/ssl.h>"
    return subprocess.run(command, input=source, text=True, capture_output=True).returncode == 0


def program(name: str) -> Path:
    """The path of the built program, built now if it is missing or older than a source."""
    sources = [SOURCES / source for source in PROGRAMS[name]]
    target = BUILD / name
    watched = [*sources, *SOURCES.glob("*.h")]
    if target.exists() and all(s.stat().st_mtime <= target.stat().st_mtime for s in watched):
        return target
    BUILD.mkdir(exist_ok=True)
    openssl: tuple[str, ...] = ()
    if name == "loadgen" and has_openssl():
        openssl = ("-DWITH_TLS", "-lssl", "-lcrypto")
    unfinished = target.with_suffix(f".{os.getpid()}")
    subprocess.run([compiler(), *FLAGS, "-o", unfinished, *sources, *openssl], check=True)
    unfinished.replace(target)  # two builds at once cannot see each other's half
    return target
