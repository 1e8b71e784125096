"""The command line: every option explained, every mistake one line, and nothing secret in argv."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from tests.refserver.clients import REFSERVER, client, member, refused
from tests.refserver.conftest import Authority
from tests.support.server import running
from tests.support.warm import ran

import refserver.server.process
from refserver.cli import COMMANDS, main
from refserver.exit_codes import Exit
from refserver.mutants import MUTANTS
from refserver.serve_command import option_names
from refserver.server.auth import Tokens
from refserver.server.config import Config
from refserver.server.logs import LOG
from refserver.version import VERSION

FIELDS = dataclasses.fields(Config)


def invoke(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(main, arguments, env=environment, prog_name="refserver")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """`serve` in this process sends the log to stderr: the tests behind these want to see it."""
    loggers = [LOG, logging.getLogger("asyncio")]
    before = [(logger.handlers[:], logger.propagate, logger.level) for logger in loggers]
    yield
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The settings that a server would have run with."""
    configs: list[Config] = []
    monkeypatch.setattr(refserver.server.process, "run", configs.append)
    return configs


# ---------------------------------------------------------------- options


@pytest.mark.proves("EP-4.1-2")
def test_without_arguments_the_defaults_are_served(served: list[Config]) -> None:
    assert invoke().exit_code == 0

    assert served == [Config()]
    assert served[0].port == 3000


@pytest.mark.parametrize(
    "arguments",
    [
        ["4000"],
        ["serve", "4000"],
        ["--port", "4000"],
        ["serve", "--port", "4000"],
        ["--port", "4000", "4000"],
    ],
)
def test_a_port_may_be_said_in_several_ways(served: list[Config], arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 0

    assert served == [Config(port=4000)]


def another(field: dataclasses.Field[Any]) -> Any:
    """A legal value that is not the default."""
    if isinstance(field.default, bool):
        return not field.default
    if "choices" in field.metadata:
        return field.metadata["choices"][-1]
    if "least" in field.metadata:
        return field.metadata["least"] if field.name != "address_share" else 0.5
    return "192.0.2.7" if field.name == "proxy_protocol" else "another"


OTHERS = [
    pytest.param(field, id=field.name)
    for field in FIELDS
    # These want --tls-cert or --ws beside them.
    if field.name not in ("tls_key", "tls_ca", "ws_hosts", "ws_origins")
]


@pytest.mark.parametrize("field", OTHERS)
def test_an_option_arrives_from_the_command_line(
    served: list[Config], field: dataclasses.Field[Any]
) -> None:
    value = another(field)
    name = option_names(field)[0]
    if isinstance(value, bool):
        arguments = [name if value else f"--no-{name[2:]}"]
    else:
        arguments = [name, str(value)]

    assert invoke(*arguments).exit_code == 0

    assert served == [dataclasses.replace(Config(), **{field.name: value})]


@pytest.mark.parametrize("field", OTHERS)
def test_an_option_arrives_from_the_environment(
    served: list[Config], field: dataclasses.Field[Any]
) -> None:
    value = another(field)

    assert invoke(**{option_names(field)[1]: str(value)}).exit_code == 0

    assert served == [dataclasses.replace(Config(), **{field.name: value})]


@pytest.mark.parametrize(
    ("environment", "presence"),
    [
        ({"REFSERVER_NO_PRESENCE": "1"}, False),
        ({"REFSERVER_NO_PRESENCE": "0"}, True),
        ({"REFSERVER_NO_PRESENCE": ""}, True),
        ({"REFSERVER_PRESENCE": "no"}, False),
    ],
)
def test_both_names_of_a_switch_count_in_the_environment(
    served: list[Config], environment: dict[str, str], presence: bool
) -> None:
    assert invoke(**environment).exit_code == 0

    assert served == [Config(presence=presence)]


def test_a_switch_in_the_environment_is_on_or_off(served: list[Config]) -> None:
    done = invoke(REFSERVER_NO_PRESENCE="maybe")

    assert (done.exit_code, served) == (2, [])
    assert "'maybe' is not a valid boolean" in done.stderr


def test_the_command_line_goes_before_the_environment(served: list[Config]) -> None:
    assert invoke("--port", "4000", REFSERVER_PORT="5000").exit_code == 0

    assert served == [Config(port=4000)]


def test_help_explains_every_option_under_its_heading() -> None:
    lines = invoke("serve", "--help").output
    text = " ".join(lines.split())

    for field in FIELDS:
        about = field.metadata
        assert f" {option_names(field)[0]}" in text
        assert f"Why: {about['reason']}." in text.replace("- ", "-")
        assert f"\n{about['group']}:\n" in lines


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--max-frame", "100"], "'--max-frame': 100 is not in the range"),
        (["--max-frame", "64K"], "'--max-frame': '64K' is not a valid whole number"),
        (["--heartbeat", "0.5"], "'--heartbeat': '0.5' is not a valid whole number"),
        (["--port", "3001", "3002"], "two ports: 3002 and --port 3001"),
        (["--rate", "fast"], "'--rate': 'fast' is not a valid number"),
        (["--mutant", "version-zero-acepted"], "did you mean 'version-zero-accepted'?"),
        (["--mutant", "foo"], "no mutant 'foo'; --mutant list names all"),
        (["--mutant", "run-entered-twice"], "is wrong in a room of two servers only: give --log"),
    ],
)
def test_a_wrong_value_is_a_usage_error(
    served: list[Config], arguments: list[str], reason: str
) -> None:
    done = invoke(*arguments)

    assert (done.exit_code, served) == (2, [])
    assert reason in done.stderr and done.stderr.endswith(" Try refserver serve --help.\n")


def test_every_mutant_is_listed_with_what_is_wrong_in_it(served: list[Config]) -> None:
    done = invoke("--mutant", "list")

    assert (done.exit_code, served) == (0, [])
    assert done.stdout.splitlines() == [f"{each.name}: {each.wrong}" for each in MUTANTS.values()]


@pytest.mark.parametrize("words", ["--help", "check --list", "explain 13", "token ann"])
def test_a_reader_of_stdout_that_leaves_early_is_141_without_a_word(words: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as stdout:
        command = [sys.executable, "-m", "refserver", *words.split()]
        done = ran(command, stdout=stdout, stderr=subprocess.PIPE, text=True)

    assert done.returncode == Exit.READER_LEFT
    assert "Error" not in done.stderr and "cannot write" not in done.stderr


@pytest.mark.parametrize("package", ["refserver.cli", "eventcodec.commands"])
def test_a_copy_without_metadata_knows_its_version(package: str) -> None:
    code = (
        "import sys, importlib.metadata as metadata\n"
        "def none(name): raise metadata.PackageNotFoundError(name)\n"
        "metadata.distribution = metadata.version = none\n"
        f"from {package} import main\n"
        "sys.argv = ['it', '--version']\n"
        "main()\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)

    assert (done.returncode, done.stderr) == (0, "")
    assert metadata.version("refserver") == VERSION
    assert VERSION in done.stdout


FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device")


@FULL
@pytest.mark.parametrize(
    "words", ["serve --port 0 --quiet", "token ann", "explain 13", "check --list", "--version"]
)
@pytest.mark.measured_processes
def test_a_stdout_that_takes_nothing_is_5_and_one_line(words: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = ran([REFSERVER, *words.split()], stdout=full, stderr=subprocess.PIPE, text=True)

    assert done.returncode == 5
    assert done.stderr == "refserver: cannot write to stdout: No space left on device\n"


@FULL
@pytest.mark.measured_processes
def test_a_token_whose_line_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "ann.token"
    with Path("/dev/full").open("w") as full:
        done = ran([REFSERVER, "token", "ann", "--token-file", file], stdout=full)

    assert done.returncode == 5
    assert not file.exists()


def test_a_token_file_that_is_there_already_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "ann.token"
    file.write_text("old")

    done = CliRunner().invoke(main, ["token", "ann", "--token-file", str(file)])

    assert (done.exit_code, done.stdout) == (2, "")
    assert file.read_text() == "old"


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--host", "0.0.0.0"], "anybody could come in"),
        (["--host", "::"], "anybody could come in"),
        (["--tls-key", "key.pem"], "--tls-key needs --tls-cert"),
        (["--tokens", "/missing/tokens"], "cannot read /missing/tokens"),
        (["--tls-cert", "/missing/cert"], "cannot read /missing/cert"),
        (["--host", "no.such.host.invalid"], "cannot listen on no.such.host.invalid:0"),
        (["--host", "two..dots"], "--host: no machine can have such a name"),
        (["--rate", "nan"], "nan is no number to count to"),
        (["--rate", "inf"], "inf is no number to count to"),
        (["--drain", "nan"], "nan is no number to count to"),
        (["--server-name", "x" * 256], "--server-name is longer than 255 bytes"),
        (["--server-name", "\udcff"], "--server-name is not well-formed text"),
        (["--server-name", ""], "--server-name is empty"),
        (["--server-name", "\x1b[2J"], "--server-name has a character that cannot be seen"),
        (["--port", "3999", "--metrics", "3999"], "--metrics and --port are both 3999"),
    ],
)
@pytest.mark.measured_processes
def test_a_server_that_cannot_run_says_why_in_one_line(arguments: list[str], reason: str) -> None:
    code, stderr = refused("serve", "--port", "0", *arguments)

    assert code == 2
    assert stderr.startswith("refserver: ") and reason in stderr
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["localhost:3022"], "; to serve there, write refserver --host localhost --port 3022."),
        (["[::1]:3022"], "; to serve there, write refserver --host ::1 --port 3022."),
        ([":3022"], "; to serve there, write refserver --host localhost --port 3022."),
        (["snd"], "; did you mean 'send'?"),
        (["frobnicate"], "No such command 'frobnicate'."),
        (["--host", "localhost:3022"], "has a port; write --host localhost --port 3022."),
        (["--host", "[::1", "--port", "0"], "cannot listen on [[::1]:0"),
        (["--host", "[::1]:3022"], "has a port; write --host [::1] --port 3022."),
    ],
)
def test_a_word_that_is_no_command_is_told_with_what_was_meant(
    words: list[str], reason: str
) -> None:
    done = invoke(*words)

    assert done.exit_code == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_may_stand_in_brackets(served: list[Config], host: str) -> None:
    assert invoke("--host", host).exit_code == 0

    assert served == [Config(host="::1")]


def test_a_variable_that_nothing_reads_is_an_error(served: list[Config]) -> None:
    done = invoke(REFSERVER_TOKEN="tokens.txt")

    assert (done.exit_code, served) == (2, [])
    assert done.stderr == (
        "refserver: REFSERVER_TOKEN in the environment is not a setting; "
        "did you mean 'REFSERVER_TOKENS'?\n"
    )


def test_variables_of_other_commands_are_none_of_the_servers_business(
    served: list[Config],
) -> None:
    assert invoke(REFSERVER_CREDENTIAL="sesame", REFSERVER_METRICS="9100").exit_code == 0
    assert len(served) == 1


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code, stderr = refused(str(port))

    assert code == 2
    assert stderr == (
        f"refserver: cannot listen on localhost:{port}: something listens there already; "
        "choose another port, or 0 for a free one\n"
    )


def test_a_token_file_without_a_token_is_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("# nobody yet\n")

    with running(tmp_path, "--tokens", str(tmp_path / "tokens.txt")) as server:
        assert 'error="holds no token: nobody can log in"' in server.log


def test_beyond_loopback_tokens_are_not_enough_unless_plaintext_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text(f"{hashlib.sha256(b'sesame').hexdigest()} ann\n")
    beyond = ["--host", "0.0.0.0", "--tokens", str(file)]

    code, stderr = refused("serve", "--port", "0", *beyond)

    assert (code, "in the clear" in stderr) == (2, True)
    with (
        running(tmp_path, *beyond, "--allow-plaintext") as server,
        member(server.port, credential=b"sesame") as ann,
    ):
        assert ann.conn.user == "ann"


def test_beyond_loopback_tokens_and_tls_are_enough(authority: Authority, tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text(f"{hashlib.sha256(b'sesame').hexdigest()} ann\n")
    beyond = ["--host", "0.0.0.0", "--tokens", str(file), "--tls-cert", str(authority.issue())]

    with (
        running(tmp_path, *beyond) as server,
        member(server.port, credential=b"sesame", tls=authority.client()) as ann,
    ):
        assert ann.conn.user == "ann"


# ---------------------------------------------------------------- tokens


def test_token_writes_a_line_for_the_file_and_shows_the_token_apart(tmp_path: Path) -> None:
    done = invoke("token", "ann")

    assert done.exit_code == 0
    found = done.stderr.removeprefix("token: ").strip()
    assert found not in done.stdout
    file = tmp_path / "tokens.txt"
    file.write_text(done.stdout)
    proof = Tokens(file).authenticate("", found.encode(), "")
    assert proof is not None and proof.user == "ann"


def test_a_token_goes_into_a_file_of_its_own_and_over_no_other(tmp_path: Path) -> None:
    tokens, kept = tmp_path / "tokens.txt", tmp_path / "ann.token"

    done = invoke("token", "ann", "--token-file", str(kept))
    again = invoke("token", "ann", "--token-file", str(kept))

    tokens.write_text(done.stdout)
    assert (done.exit_code, done.stderr) == (0, "")
    assert Tokens(tokens).authenticate("ann", kept.read_bytes().rstrip(), "") is not None
    assert kept.stat().st_mode & 0o777 == 0o600
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr == f"refserver: cannot write {kept}: File exists\n"


@pytest.mark.parametrize("user", ["", "a\u202enn", " ann", "\udcff"])
def test_token_refuses_a_name_that_nobody_may_have(user: str) -> None:
    done = invoke("token", user)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("refserver: the name ")


def test_each_command_is_listed_with_the_first_line_of_its_help() -> None:
    lines = {name: place.load().get_short_help_str(limit=1_000) for name, place in COMMANDS.items()}

    assert {name: place.line for name, place in COMMANDS.items()} == lines
    assert [*COMMANDS] == sorted(COMMANDS)
    assert {name: place.load().name for name, place in COMMANDS.items()} == {
        name: name for name in COMMANDS
    }


def test_commands_are_listed_and_completed_as_click_does_when_it_has_loaded_them() -> None:
    loaded = click.Group("refserver", {name: place.load() for name, place in COMMANDS.items()})
    listed = CliRunner().invoke(loaded, ["--help"]).output.partition("Commands:\n")[2]

    def completed(group: click.Group) -> list[tuple[str, str | None]]:
        found = ShellComplete(group, {}, "refserver", "_COMPLETE").get_completions([], "s")
        return [(each.value, each.help) for each in found]

    assert listed.rstrip() in invoke("--help").output
    assert completed(main) == completed(loaded) != []


def test_a_server_with_settings_from_the_environment(tmp_path: Path) -> None:
    with (
        running(tmp_path, REFSERVER_SERVER_NAME="here") as server,
        member(server.port) as ann,
        client(server.port),
    ):
        assert ann.conn.welcome is not None
        assert ann.conn.welcome.server == "here"


@pytest.mark.parametrize(
    "arguments",
    [["--port", "abc"], ["99999"], ["nosuch"], ["serve", "nosuch"], ["--bogus"], ["token"]],
)
def test_a_mistake_costs_one_line_that_says_where_help_is(arguments: list[str]) -> None:
    done = invoke(*arguments)

    assert done.exit_code == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("refserver: ") and "--help" in line
