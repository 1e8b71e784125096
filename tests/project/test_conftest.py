"""The processes that run tests are like the one that distributes them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("xdist")


@pytest.mark.parametrize("strict", [0, 1, 2])
def test_bytes_are_refused_as_text_in_each_process(
    strict: int, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SimpleNamespace(python=sys.executable)

    with monkeypatch.context() as changed:
        changed.setattr(sys, "flags", SimpleNamespace(bytes_warning=strict))
        pytestconfig.hook.pytest_xdist_setupnodes(config=pytestconfig, specs=[spec])

    command = [*shlex.split(spec.python), "-c", "import sys; print(sys.flags.bytes_warning)"]
    assert subprocess.check_output(command, text=True) == f"{strict}\n"
