"""What every test shares: how many run at once, how hard Hypothesis looks, who gets a Ctrl-C.

Rule: nothing here imports the packages, so that the codec's tests run where the
server is absent.

`fast` while developing, `ci` where the variable CI is set, `deep` for a soak, where all that
Hypothesis looks at should take a quarter of an hour; HYPOTHESIS_PROFILE names one of them. No
profile has a deadline: a clock would judge the machine, not the code.

Tests run in three processes for each processor, because most of a test's time is waiting.
`-n 0` runs all of them in this process; a single test does so by itself.
"""

from __future__ import annotations

import gc
import os
import shlex
import signal
import sys
from collections.abc import Generator
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.measuring import MEASURED_PROCESSES, UNMEASURED, keep, only_here, unmeasured
from tests.once import alone

for name, examples in {"fast": 50, "ci": 100, "deep": 2_000}.items():
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,
        derandomize=name == "ci",
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
default = "ci" if os.environ.get("CI") else "fast"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", default))

PROCESS = "PYTEST_XDIST_WORKER"
"""What names the process, if there are several."""
FIRST = "gw0"
TASTE = ("FORCE_COLOR", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES")
"""What changes the colours and the width of what programs print."""

# What collecting makes stays until the end. The garbage collector does not look at it, neither
# while it grows nor in each full collection of a test.
gc.disable()


@settings(derandomize=True, database=None, max_examples=1)
@given(st.none())
def holds_always(_: None) -> None:
    """The first derandomized test makes Hypothesis ask the collector who keeps its generator."""


def pytest_sessionstart() -> None:
    """What is printed depends on no taste of whoever runs the tests; pytest has looked already."""
    for name in TASTE:
        os.environ.pop(name, None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Each process imports the same, so one of them measures it."""
    holds_always()  # The collector does not find what is frozen, and Hypothesis would warn.
    with nullcontext() if os.environ.get(PROCESS, FIRST) == FIRST else unmeasured():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, object, object]:
    """One process compiles what a module of tests imports, and the others find it compiled."""
    compiles = isinstance(collector, pytest.Module) and not sys.dont_write_bytecode
    with alone(collector.path) if compiles else nullcontext():
        return (yield)


def pytest_collection_finish() -> None:
    """All tests are known: from here on, garbage is collected."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """The process that distributes the tests runs none."""
    distributes = session.config.pluginmanager.has_plugin("dsession")
    with unmeasured() if distributes else nullcontext():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """What its set-up starts is measured as what it starts itself."""
    processes_count = item.get_closest_marker(MEASURED_PROCESSES)
    with nullcontext() if processes_count else only_here():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Its set-up and its end are measured, for other tests may share them."""
    counts = UNMEASURED.isdisjoint(marker.name for marker in item.iter_markers())
    with nullcontext() if counts else unmeasured():
        return (yield)


def pytest_sessionfinish() -> None:
    """All tests of this process have run."""
    keep()


# A shell ignores SIGINT for what it runs in the background, and every process started from here
# would inherit that. A handler is not inherited: theirs is the default again.
signal.signal(signal.SIGINT, signal.default_int_handler)
# What runs below nohup ignores SIGHUP, and so would they.
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes `-n auto` starts."""
    single_tests = bool(config.args) and all("::" in argument for argument in config.args)
    affinity = getattr(os, "sched_getaffinity", None)  # which macOS and Windows lack
    processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    return 0 if single_tests else 3 * processors


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Where Python is asked to refuse bytes as text, it refuses them in each process."""
    if strict := "b" * sys.flags.bytes_warning:
        for spec in specs:
            spec.python = f"{shlex.quote(sys.executable)} -{strict}"
