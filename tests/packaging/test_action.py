"""The steps of action.yml, as a runner runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.packaging import chroot
from tests.support.server import running

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
INSTALL, RUN = ACTION["runs"]["steps"]
CLIENT = f"{sys.executable} {ROOT}/docs/clients/client.py {{host}} {{port}}"
SILENT = f"{sys.executable} -c pass {{port}}"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of a runner, with the kit installed by the first step."""
    folder = tmp_path_factory.mktemp("runner")
    # A runner has a copy of its own; here, other tests build in the folders of this one.
    for name in ("packages", "docs"):
        shutil.copytree(ROOT / name, folder / "action" / name, ignore=chroot.ignored(ROOT))
    done = step(INSTALL, folder, {})
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server.port


def step(
    which: dict[str, Any], folder: Path, given: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a step as a runner does; the environment has its inputs, and its file for the summary."""
    inputs = {
        name: given.get(name, about.get("default")) for name, about in ACTION["inputs"].items()
    }
    environment = dict(os.environ)
    for name, value in which.get("env", {}).items():
        wanted = value.removeprefix("${{ inputs.").removesuffix(" }}")
        environment[name] = inputs[wanted] or ""
    environment["RUNNER_TEMP"] = str(folder)
    environment["GITHUB_ACTION_PATH"] = str(folder / "action")
    environment["GITHUB_STEP_SUMMARY"] = str(folder / "summary.md")
    (folder / "summary.md").write_text("# What another step wrote\n")
    bash = shutil.which(which["shell"])
    assert bash is not None
    return subprocess.run(
        [bash, "--noprofile", "--norc", "-eo", "pipefail", "-c", which["run"]],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )


def summary(folder: Path) -> str:
    return (folder / "summary.md").read_text()


def test_it_tests_a_server_and_adds_to_the_summary(runner: Path, port: int) -> None:
    given = {"command": "check", "target": f"localhost:{port}", "options": "LOGIN-* --timeout 9"}

    done = step(RUN, runner, given)

    assert done.returncode == 0, done.stdout + done.stderr
    assert summary(runner).startswith("# What another step wrote\n")
    assert "passed" in summary(runner)


def test_it_tests_a_client(runner: Path) -> None:
    given = {
        "command": "peer",
        "target": CLIENT,
        "options": "--can resume PEER-LOGIN-* PEER-RESUME-02",
    }

    done = step(RUN, runner, given)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in summary(runner)


def test_a_failure_fails_the_step_and_stands_in_the_summary(runner: Path) -> None:
    given = {"command": "peer", "target": SILENT, "options": "PEER-LOGIN-01"}

    done = step(RUN, runner, given)

    assert done.returncode == 1
    assert "PEER-LOGIN-01" in summary(runner)


def test_what_cannot_run_adds_nothing_to_the_summary(runner: Path) -> None:
    unknown = step(RUN, runner, {"command": "chek", "target": "localhost:3000"})
    closed = step(RUN, runner, {"command": "check", "target": "localhost:1"})

    assert (unknown.returncode, closed.returncode) == (2, 4)
    assert "'chek'" in unknown.stdout
    assert summary(runner) == "# What another step wrote\n"
