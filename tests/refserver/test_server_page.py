"""docs/server.md, the unit file and SECURITY.md say what the server has."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tools import server_page

from refserver.cli import main
from refserver.server.config import Config

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "docs/examples/refserver.service"
HARDENED = {
    "it is nobody, and can become nobody else": (
        "DynamicUser=yes",
        "UMask=0077",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "NoNewPrivileges=yes",
        "RestrictSUIDSGID=yes",
        "RestrictNamespaces=yes",
    ),
    "it writes nothing, and sees nobody else's files, devices or processes": (
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "ProtectProc=invisible",
        "ProcSubset=pid",
        "RemoveIPC=yes",
    ),
    "it changes nothing about the machine": (
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "ProtectControlGroups=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "RestrictRealtime=yes",
    ),
    "it runs its own code only, and of the kernel what a service needs": (
        "MemoryDenyWriteExecute=yes",
        "LockPersonality=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
    ),
    "it cannot eat the machine": ("MemoryMax=1G", "TasksMax=8"),
}
"""What the unit takes away, by what it is for."""
CONTEXT = click.Context(main)
OPTIONS = {
    name
    for command in map(partial(main.get_command, CONTEXT), main.list_commands(CONTEXT))
    if command is not None
    for param in command.params
    for name in (*param.opts, *param.secondary_opts)
}


@pytest.mark.parametrize(
    ("page", "table"),
    [(page, table) for page, blocks in server_page.PAGES.items() for table in blocks],
)
def test_a_table_that_differs_is_found(page: Path, table: str) -> None:
    marker, text = f"<!-- generated: {table} -->\n", page.read_text(encoding="utf-8")
    assert text.count(marker) == 1

    assert server_page.generate(page, text.replace(marker, f"{marker}stale\n")) == text


@pytest.mark.parametrize(
    "text",
    [page.read_text(encoding="utf-8") for page in (server_page.PAGE, ROOT / "SECURITY.md")],
)
def test_every_option_that_is_named_is_there(text: str) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))

    assert named and named <= OPTIONS


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    return parser


def test_the_unit_starts_a_command_that_there_is() -> None:
    program, *arguments = shlex.split(unit()["Service"]["ExecStart"])

    assert Path(program).name == "refserver"
    assert CliRunner().invoke(main, [*arguments, "--help"]).exit_code == 0


def test_the_unit_grants_what_the_defaults_need() -> None:
    service = unit()["Service"]

    assert service["Type"] == "notify"
    assert "HUP" in service["ExecReload"]
    assert int(service["TimeoutStopSec"]) > Config().drain
    assert int(service["LimitNOFILE"]) >= Config().connections + 64
    families = set(service["RestrictAddressFamilies"].split())
    assert families == {"AF_INET", "AF_INET6", "AF_UNIX"}


@pytest.mark.parametrize("line", [line for lines in HARDENED.values() for line in lines])
def test_the_unit_takes_away_what_the_server_does_not_need(line: str) -> None:
    assert line in UNIT.read_text(encoding="utf-8").splitlines()


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze")
    text = UNIT.read_text(encoding="utf-8")
    installed = tmp_path / UNIT.name
    installed.write_text(text.replace("/usr/local/bin/refserver", sys.executable))

    done = subprocess.run([analyze, "verify", str(installed)], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_service_reads_again_is_no_credential_of_systemd() -> None:
    """systemd copies a credential once, at the start: a removed token would survive a reload."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()

    assert not [line for line in lines if line.lstrip("# ").startswith("LoadCredential=")]
