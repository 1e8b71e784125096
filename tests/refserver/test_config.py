"""The options: whole, explained, bounded, and safe where nothing is said."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from refserver.config import Config, Unusable, is_loopback

FIELDS = dataclasses.fields(Config)
LOOPBACK = ["127.0.0.1", "::1"]
BEYOND = ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "fe80::1%eth0"]
TLS: dict[str, Any] = {"tls_cert": "cert.pem"}
TOKENS: dict[str, Any] = {"tokens": "tokens.txt"}
CERTIFICATES = {**TLS, "tls_ca": "ca.pem"}


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
    with pytest.raises(Unusable, match="anybody could come in"):
        Config(**settings).check_exposure([*LOOPBACK, address])


@pytest.mark.parametrize("address", BEYOND)
def test_nobody_listens_beyond_loopback_in_the_clear_unless_told_to(address: str) -> None:
    with pytest.raises(Unusable, match="in the clear"):
        Config(**TOKENS).check_exposure([address])
    Config(**TOKENS, allow_plaintext=True).check_exposure([address])


@pytest.mark.parametrize("settings", [{**TOKENS, **TLS}, CERTIFICATES, {**TOKENS, **CERTIFICATES}])
@pytest.mark.parametrize("address", BEYOND)
def test_beyond_loopback_locks_and_tls_are_enough(settings: dict[str, Any], address: str) -> None:
    Config(**settings).check_exposure([address])


@pytest.mark.parametrize("name", ["tls_key", "tls_ca"])
def test_parts_of_tls_want_the_certificate(name: str) -> None:
    settings: dict[str, Any] = {name: "file.pem"}

    with pytest.raises(Unusable, match=f"--{name.replace('_', '-')} needs --tls-cert"):
        Config(**settings)
