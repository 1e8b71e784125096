"""The options: whole, explained, bounded, and safe where nothing is said."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from eventcodec.limits import MAX_FRAME_BEFORE_WELCOME
from refserver.server.config import Config, ConfigError, is_loopback
from refserver.server.descriptors import RESERVED

FIELDS = dataclasses.fields(Config)
LOOPBACK = ["127.0.0.1", "::1"]
BEYOND = ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "fe80::1%eth0"]
TLS: dict[str, Any] = {"tls_cert": "cert.pem"}
TOKENS: dict[str, Any] = {"tokens": "tokens.txt"}
CERTIFICATES = {**TLS, "tls_ca": "ca.pem"}
KIB, MIB = 1024, 1024 * 1024

DEFAULTS = {
    "host": "localhost",
    "port": 3000,
    "ws": None,
    "ws_hosts": "",
    "ws_origins": "",
    "proxy_protocol": "",
    "log": "",
    "room": "room",
    "log_credentials": "",
    "log_timeout": 10.0,
    "tokens": "",
    "tls_cert": "",
    "tls_key": "",
    "tls_ca": "",
    "allow_plaintext": False,
    "open_to_anybody": False,
    "presence": True,
    "log_bytes": 16 * MIB,
    "server_name": "refserver",
    "max_frame": 64 * KIB,
    "rate": 0.0,
    "connections": 1024,
    "unauthenticated": 256,
    "address_share": 0.25,
    "logins": 20.0,
    "closing": 64,
    "login_timeout": 5.0,
    "heartbeat": 20,
    "frame_timeout": 30.0,
    "write_timeout": 10.0,
    "close_timeout": 2.0,
    "close_bytes": 256 * KIB,
    "drain": 10.0,
    "metrics": None,
    "log_format": "text",
    "quiet": False,
}
"""What users were told: a default that changes is a change for them."""


def test_the_defaults_are_those_that_were_agreed() -> None:
    assert dataclasses.asdict(Config()) == DEFAULTS


def test_frames_may_be_as_long_as_was_agreed() -> None:
    (max_frame,) = (field for field in FIELDS if field.name == "max_frame")

    assert (max_frame.metadata["least"], max_frame.metadata["most"]) == (4 * KIB, 16 * MIB)
    assert MAX_FRAME_BEFORE_WELCOME == 4 * KIB  # what a stranger's may be


def test_so_many_descriptors_are_left_as_was_agreed() -> None:
    assert RESERVED == 64


@pytest.mark.parametrize("field", [pytest.param(field, id=field.name) for field in FIELDS])
def test_an_option_says_what_it_does_and_why_it_is_so(field: dataclasses.Field[Any]) -> None:
    about = field.metadata

    assert all(about[part] for part in ("help", "group", "reason"))
    assert not about["help"].endswith(".") and not about["reason"].endswith(".")
    assert about["unit"] or isinstance(field.default, bool)


@pytest.mark.parametrize(
    "field", [pytest.param(field, id=field.name) for field in FIELDS if "least" in field.metadata]
)
def test_a_default_lies_within_its_bounds(field: dataclasses.Field[Any]) -> None:
    least, most = field.metadata["least"], field.metadata.get("most", float("inf"))

    assert field.default is None or least <= field.default <= most


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_needs_nothing(address: str) -> None:
    Config().check_exposure([address])


@pytest.mark.parametrize("address", ["127.0.0.2", "::ffff:127.0.0.1"])
def test_every_loopback_address_counts_as_one(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["", "localhost", "127.0.0.1.example"])
def test_what_is_no_address_is_not_loopback(address: str) -> None:
    assert not is_loopback(address)


@pytest.mark.parametrize("address", BEYOND)
@pytest.mark.parametrize("settings", [{}, TLS, {"allow_plaintext": True}])
def test_nobody_listens_beyond_loopback_with_an_open_door(
    settings: dict[str, Any], address: str
) -> None:
    with pytest.raises(ConfigError, match="anybody could come in"):
        Config(**settings).check_exposure([*LOOPBACK, address])


@pytest.mark.parametrize("address", BEYOND)
def test_nobody_listens_beyond_loopback_in_the_clear_unless_told_to(address: str) -> None:
    with pytest.raises(ConfigError, match="in the clear"):
        Config(**TOKENS).check_exposure([address])
    Config(**TOKENS, allow_plaintext=True).check_exposure([address])


@pytest.mark.parametrize("address", BEYOND)
def test_an_open_room_beyond_loopback_needs_the_option_of_its_name(address: str) -> None:
    Config(open_to_anybody=True, **TLS).check_exposure([address])
    Config(open_to_anybody=True, allow_plaintext=True).check_exposure([address])
    with pytest.raises(ConfigError, match="in the clear"):
        Config(open_to_anybody=True).check_exposure([address])


@pytest.mark.parametrize("settings", [TOKENS, CERTIFICATES])
def test_a_room_that_asks_who_is_not_open_to_anybody(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--open-to-anybody contradicts"):
        Config(open_to_anybody=True, **settings)


@pytest.mark.parametrize("settings", [{**TOKENS, **TLS}, CERTIFICATES, {**TOKENS, **CERTIFICATES}])
@pytest.mark.parametrize("address", BEYOND)
def test_beyond_loopback_locks_and_tls_are_enough(settings: dict[str, Any], address: str) -> None:
    Config(**settings).check_exposure([address])


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"metrics": 3000}, "--metrics and --port are both 3000"),
        ({"ws": 3000}, "--ws and another listener are both on port 3000"),
        ({"ws": 3001, "metrics": 3001}, "--ws and another listener are both on port 3001"),
        ({"ws_origins": "null"}, "--ws-hosts and --ws-origins need --ws PORT"),
    ],
)
def test_listeners_have_ports_of_their_own(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Config(**settings)
    Config(port=0, ws=0, metrics=0)


@pytest.mark.parametrize("name", ["tls_key", "tls_ca"])
def test_parts_of_tls_want_the_certificate(name: str) -> None:
    settings: dict[str, Any] = {name: "file.pem"}

    with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')} needs --tls-cert"):
        Config(**settings)
