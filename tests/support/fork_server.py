"""The process that `tests.support.warm` forks from: it has loaded the command line, and waits.

Rule: it only forks. A new process gets the arguments, the environment, the folder and the streams
of whoever asked, and then runs its module as `python -P -m` does, or its file as `python -P` does.
Its keeper tells how it ended, and lets its number go only when that has been read, as the parent of
a process does.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import resource
import runpy
import socket
import sys
import threading
from contextlib import suppress
from typing import Any

from refserver.cli import COMMANDS

LOADED = (
    "refserver.client.aio",
    "refserver.cluster.engine_client",
    "refserver.conformance.reports.badge",
    "refserver.conformance.reports.console",
    "refserver.conformance.reports.html",
    "refserver.conformance.reports.junit",
    "refserver.conformance.reports.markdown",
    "refserver.server.process",
)
"""What the commands and the examples import later than at their start; what needs an extra may be
missing."""
STREAMS = 3
MOST = 1 << 20
"""Bytes of a request: more than the system lets pass."""


def asked(control: socket.socket) -> dict[str, Any] | None:
    """What a new process is to be; None in the process that forks, when nobody can ask any more."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, MOST, 1 + STREAMS)
        if not data:
            return None
        if os.fork() == 0:
            control.close()
            return begun(json.loads(data), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(ChildProcessError):  # no keeper is left
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def begun(request: dict[str, Any], teller: int, *streams: int) -> dict[str, Any]:
    """Fork once more. Returns in the new process only; the keeper tells its number and its end."""
    pid = os.fork()
    if pid == 0:
        os.close(teller)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for stream in streams:
            os.close(stream)
        return request
    for number in (*range(STREAMS), *streams):
        os.close(number)
    if request["group"] is not None:
        os.setpgid(pid, request["group"])
    with socket.socket(fileno=teller) as asker, suppress(OSError):
        asker.send(str(pid).encode())
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert end is not None
        code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        asker.send(str(code).encode())
        asker.recv(1)
        os.waitpid(pid, 0)
    os._exit(0)


def become(request: dict[str, Any]) -> None:
    """Run the module, as if Python had just started with these."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    resource.setrlimit(resource.RLIMIT_NOFILE, request["descriptors"])
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())
    module = request["module"]
    sys.argv = [module, *request["words"]]
    if module.endswith(".py"):
        runpy.run_path(module, run_name="__main__")
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def end(code: int) -> None:
    """End as Python ends, but free nothing that was loaded before the fork.

    To free it, a process would first copy all its pages: 24 of the 30 ms of a short command.
    Returns if stdout or stderr does not take what is left. Python then has an end of its own.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()  # Python complains of what nobody has closed or awaited.
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError:
        return
    os._exit(code & 0xFF)


if __name__ == "__main__":
    for place in COMMANDS.values():
        place.load()
    for name in LOADED:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    request = asked(socket.socket(fileno=int(sys.argv[1])))
    if request is not None:
        code = 0
        try:
            become(request)
        except SystemExit as how:
            if not isinstance(how.code, int | None):
                raise
            code = how.code or 0
        end(code)
        sys.exit(code)
