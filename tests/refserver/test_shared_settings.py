"""From the settings of a server to its client of Redis: what is refused, and how it is said."""

from __future__ import annotations

import builtins
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from refserver.server import shared
from refserver.server.config import Config, ConfigError

URL = "redis://127.0.0.1:6379/0"


def engine_client(config: Config) -> Any:
    return shared.engine_client(config, lambda log: None, lambda: None)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("127.0.0.1:6379", "begin with redis://"),
        ("http://127.0.0.1/0", "begin with redis://"),
        ("redis://[::1/0", "--log: "),
        ("redis://127.0.0.1:port/0", "--log: "),
        ("redis://me:secret@127.0.0.1/0", "--log-credentials FILE"),
        ("rediss://:secret@127.0.0.1/0", "--log-credentials FILE"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong.replace("--", ".*--")) as told:
        engine_client(Config(log=url))

    assert "secret" not in str(told.value)


@pytest.mark.parametrize("room", ["", "{a}", "a}b"])
def test_a_room_whose_keys_could_not_be_told_apart_is_refused(room: str) -> None:
    with pytest.raises(ConfigError, match="without braces"):
        engine_client(Config(log=URL, room=room))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"ann:a secret\n", ("ann", "a secret")),
        (b"ann:a:b\r\n", ("ann", "a:b")),
        (b":a secret", ("default", "a secret")),
        ("ann:geheim\u00fc".encode(), ("ann", "geheim\u00fc")),
    ],
)
def test_credentials_are_a_user_and_a_password_in_one_line(
    tmp_path: Path, data: bytes, found: tuple[str, str]
) -> None:
    (file := tmp_path / "credentials").write_bytes(data)

    assert shared.credentials(str(file)) == found


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"only a password", "USER:PASSWORD in one line"),
        (b"", "USER:PASSWORD in one line"),
        (b"ann:a\nbob:b", "USER:PASSWORD in one line"),
        (b"ann:\xff", "is not UTF-8"),
    ],
)
def test_other_credentials_are_refused_without_their_text(
    tmp_path: Path, data: bytes, wrong: str
) -> None:
    (file := tmp_path / "credentials").write_bytes(data)

    with pytest.raises(ConfigError, match=wrong) as told:
        shared.credentials(str(file))
    assert "password" not in str(told.value) and str(file) in str(told.value)


def test_all_that_members_could_notice_has_to_be_alike_on_all_servers() -> None:
    settings = shared.settings(Config(log=URL, log_timeout=4.0, presence=False))

    assert settings.lease == 6.0
    assert settings.config.split() == [
        "presence=False",
        "max-frame=65536",
        "log-bytes=16777216",
        "log-timeout=4.0",
        f"unicode={unicodedata.unidata_version}",
    ]


@pytest.mark.parametrize(("missing", "told"), [("redis", ConfigError), ("other", ImportError)])
def test_without_the_extra_the_option_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, missing: str, told: type[Exception]
) -> None:
    original = builtins.__import__

    def without(name: str, *others: Any, **more: Any) -> Any:
        if name == "cluster.engine_client":
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return original(name, *others, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(told, match="redis" if missing == "redis" else "other"):
        engine_client(Config(log=URL))
