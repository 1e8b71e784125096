"""`python without.py SYSTEM -m MODULE …`: run a module as if this were macOS, or Windows.

Rule: what the other system lacks is gone before a module of ours is imported; the standard
library is imported before that, for here it is the one that was built for Linux.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import runpy
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from functools import partial, partialmethod
from types import ModuleType

STANDARD_LIBRARY = (asyncio, multiprocessing, shutil, subprocess, tempfile)
Names = dict[ModuleType, list[str]]
MACOS: Names = {
    select: ["epoll"],
    selectors: ["EpollSelector"],
    os: ["eventfd", "memfd_create", "pidfd_open", "sched_getaffinity", "sched_setaffinity"],
    signal: ["sigtimedwait", "sigwaitinfo"],
    socket: ["MSG_NOSIGNAL", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "TCP_INFO", "TCP_USER_TIMEOUT"],
}
WINDOWS: Names = {
    select: ["poll"],
    selectors: ["PollSelector"],
    os: ["environb", "fork", "getuid", "killpg", "setsid", "O_NONBLOCK", "O_CLOEXEC"],
    signal: ["SIGHUP", "SIGKILL", "SIGPIPE", "pthread_sigmask"],
    socket: ["AF_UNIX", "MSG_DONTWAIT"],
}
MODULES_OF_POSIX = ["fcntl", "grp", "pwd", "resource", "termios", "tty"]


def take_away(*lacking: Names) -> None:
    """Delete these names from their modules."""
    assert all(module.__name__ in sys.modules for module in STANDARD_LIBRARY)
    for names in lacking:
        for module, each in names.items():
            for name in each:
                if hasattr(module, name):
                    delattr(module, name)


def count_all_processors() -> None:
    """Python 3.13 and later ask for the affinity here, and for all processors elsewhere."""
    if hasattr(os, "process_cpu_count"):
        os.process_cpu_count = os.cpu_count


def like_macos() -> None:
    """Leave what macOS has too."""
    selectors.DefaultSelector = selectors.PollSelector  # type: ignore[misc, assignment]
    count_all_processors()
    take_away(MACOS)


def like_windows() -> None:
    """Leave what Windows has too."""
    # What the standard library does there in another way.
    socket.socketpair = partial(socket.socketpair, socket.AF_UNIX)
    kill = partialmethod(subprocess.Popen.send_signal, signal.SIGKILL)
    subprocess.Popen.kill = kill  # type: ignore[method-assign, assignment]
    selectors.DefaultSelector = selectors.SelectSelector  # type: ignore[misc, assignment]
    count_all_processors()
    take_away(MACOS, WINDOWS)
    for name in MODULES_OF_POSIX:
        sys.modules[name] = None  # type: ignore[assignment]


if __name__ == "__main__":
    {"macos": like_macos, "windows": like_windows}[sys.argv[1]]()
    assert sys.argv[2] == "-m"
    module, sys.argv = sys.argv[3], sys.argv[3:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
