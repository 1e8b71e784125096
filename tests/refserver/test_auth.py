"""Who may come in: tokens, certificates, both, and the file that lists them."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refserver.server.auth import (
    SLICE,
    AllOf,
    AllowAll,
    Auth,
    Certificates,
    Proof,
    Tokens,
    authenticator_of,
)
from refserver.server.config import Config, ConfigError
from refserver.server.token_file import new_token


def line(token: str, user: str) -> str:
    return f"{hashlib.sha256(token.encode()).hexdigest()}  {user}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.txt"


def tokens(path: Path, *lines: str) -> Tokens:
    path.write_text("".join(lines), encoding="utf-8")
    return Tokens(path)


def reload(auth: Auth) -> int:
    """Reload in one go; returns in how many steps."""
    return sum(1 for _ in auth.reload())


# ---------------------------------------------------------------- tokens


def test_a_token_proves_its_name(path: Path) -> None:
    auth = tokens(path, line("sesame", "ann"), line("mellon", "bob"))

    assert auth.authenticate("ann", b"sesame", "") == Proof("ann")
    assert auth.authenticate("bob", b"mellon", "") == Proof("bob")


@pytest.mark.proves("EP-6.1-2")
def test_an_empty_user_gets_the_name_of_the_token(path: Path) -> None:
    assert tokens(path, line("sesame", "ann")).authenticate("", b"sesame", "") == Proof("ann")


def test_several_tokens_of_one_user_are_good_at_the_same_time(path: Path) -> None:
    auth = tokens(path, line("old", "ann"), line("new", "ann"))

    assert (
        auth.authenticate("ann", b"old", "") == auth.authenticate("ann", b"new", "") == Proof("ann")
    )


def test_a_byte_order_mark_before_the_first_line_says_nothing(path: Path) -> None:
    auth = tokens(path, "\ufeff" + line("sesame", "ann"))

    assert auth.authenticate("ann", b"sesame", "") == Proof("ann")


@pytest.mark.parametrize(
    ("user", "credential"),
    [
        ("ann", b"mellon"),
        ("ann", b""),
        ("", b""),
        ("", b"\x00"),
        ("ann", b"sesame\x00"),
        ("ann", b"Sesame"),
        ("ann", "grüße".encode()),
        ("ann", b"\xff" * 10_240),
        ("ann", bytes(32)),
        ("bob", b"sesame"),
        ("Ann", b"sesame"),
        ("", hashlib.sha256(b"sesame").digest()),
        ("ann", hashlib.sha256(b"sesame").hexdigest().encode()),
    ],
)
@pytest.mark.proves("EP-6.3-3")
def test_anything_else_proves_nothing(path: Path, user: str, credential: bytes) -> None:
    auth = tokens(path, line("sesame", "ann"))

    assert auth.authenticate("ann", b"sesame", "") is not None
    assert auth.authenticate(user, credential, "ann") is None


def test_a_name_in_the_file_may_have_spaces_and_any_letters(path: Path) -> None:
    auth = tokens(path, line("a", "Ann Ångström"), line("b", "guest-1"), line("c", "#1"))

    assert auth.authenticate("Ann Ångström", b"a", "") == Proof("Ann Ångström")
    assert auth.authenticate("guest-1", b"b", "") == Proof("guest-1")
    assert auth.authenticate("", b"c", "") == Proof("#1")


def test_empty_lines_and_comments_say_nothing(path: Path) -> None:
    auth = tokens(path, "# staff\n", "\n", "  \t\r\n", line("sesame", "ann").strip() + "\r\n")

    assert auth.authenticate("", b"sesame", "") == Proof("ann")


def test_an_empty_file_lets_nobody_in(path: Path) -> None:
    assert tokens(path, "").authenticate("ann", b"", "") is None


COMMENTED = "is followed by a comment, which must stand in a line of its own"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("ann sesame", "is not 64 hex digits, a space and a user"),
        ("ab" * 31 + " ann", "is not 64 hex digits, a space and a user"),
        ("ab" * 32, "is not 64 hex digits, a space and a user"),
        ("ab" * 32 + "ann", "is not 64 hex digits, a space and a user"),
        ("ab" * 32 + " a\u200bnn", "the name has a character that cannot be seen"),
        ("ab" * 32 + " e\u0301", "the name is not in Unicode's composed form (NFC)"),
        ("ab" * 32 + " " + "a" * 256, "the name is longer than 255 bytes"),
        (line("sesame", "bob").strip(), "the same token as in line 1"),
        (line("other", "ANN").strip(), "the same name as in line 1, spelled otherwise"),
        ("ab" * 32 + " bob # new phone", "the name " + COMMENTED),
        ("ab" * 32 + " bob\t# new phone", "the name " + COMMENTED),
        (
            line("", "eve").strip(),
            "the digest of an empty token; a client without a token could log in",
        ),
    ],
)
def test_a_line_that_is_wrong_is_named(path: Path, wrong: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tokens(path, line("sesame", "ann"), "# bob's\n", wrong + "\n")

    assert str(caught.value) == f"{path}, line 3: {reason}"


@pytest.mark.parametrize("kept", range(1, len(line("mellon", "annabel"))))
def test_a_last_line_without_a_line_end_is_refused_wherever_it_was_cut(
    path: Path, kept: int
) -> None:
    path.write_text(line("sesame", "ann") + line("mellon", "annabel")[:kept])

    with pytest.raises(
        ConfigError, match="line 2: has no line end; the file may be written only in"
    ):
        Tokens(path)


def test_a_file_that_is_written_in_part_changes_nothing_at_a_reload(path: Path) -> None:
    auth = tokens(path, line("mellon", "annabel"))
    path.write_text(line("mellon", "annabel").removesuffix("abel\n"))

    with pytest.raises(ConfigError):
        reload(auth)

    assert auth.authenticate("", b"mellon", "") == Proof("annabel")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (fifo, "it is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is not a regular file"),
        (unix_socket, "No such device or address"),
        (Path.mkdir, "Is a directory"),
    ],
    ids=["fifo", "device", "socket", "folder"],
)
def test_what_is_no_regular_file_is_refused_and_not_waited_for(
    path: Path, make: Callable[[Path], object], reason: str
) -> None:
    auth = tokens(path, line("sesame", "ann"))
    path.unlink()
    make(path)

    with pytest.raises(ConfigError, match=reason):
        reload(auth)

    assert auth.authenticate("", b"sesame", "") == Proof("ann")


def test_a_file_without_end_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refserver.server.auth.LARGEST", 1000)
    path.write_text("#" * 1000 + "\n")

    with pytest.raises(ConfigError, match="larger than 1,000 bytes"):
        Tokens(path)


def test_a_large_file_is_read_in_slices_and_takes_effect_with_the_last(path: Path) -> None:
    auth = tokens(path, line("old", "ann"))
    path.write_text("".join(line(f"new {n}", f"user {n}") for n in range(10 * SLICE)))

    steps = auth.reload()
    for _ in range(10):
        next(steps)
        assert auth.authenticate("", b"old", "") == Proof("ann")
        assert auth.authenticate("", b"new 0", "") is None
    assert list(steps) == []

    assert auth.authenticate("", b"old", "") is None
    assert auth.authenticate("", b"new 2559", "") == Proof("user 2559")


def test_a_line_that_is_not_utf_8_is_named(path: Path) -> None:
    path.write_bytes(b"# caf\xe9\n")

    with pytest.raises(ConfigError) as caught:
        Tokens(path)

    assert str(caught.value) == f"{path}, line 1: is not UTF-8"


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Tokens(path)

    assert str(caught.value) == f"cannot read {path}: No such file or directory"


def test_a_reload_takes_and_gives(path: Path) -> None:
    auth = tokens(path, line("sesame", "ann"))
    path.write_text(line("mellon", "bob"))

    reload(auth)

    assert auth.authenticate("ann", b"sesame", "") is None
    assert auth.authenticate("bob", b"mellon", "") == Proof("bob")


@pytest.mark.parametrize("new", [line("mellon", "bob") + "nonsense", None])
def test_a_reload_that_fails_changes_nothing(path: Path, new: str | None) -> None:
    auth = tokens(path, line("sesame", "ann"))
    if new is None:
        path.unlink()
    else:
        path.write_text(new)

    with pytest.raises(ConfigError):
        reload(auth)

    assert auth.authenticate("ann", b"sesame", "") == Proof("ann")
    assert auth.authenticate("bob", b"mellon", "") is None


# ---------------------------------------------------------------- new tokens


def test_a_new_token_is_good_once_its_line_is_in_the_file(path: Path) -> None:
    token, written = new_token("ann b")

    assert token not in written
    assert tokens(path, written + "\n").authenticate("", token.encode(), "") == Proof("ann b")


def test_no_two_tokens_are_the_same() -> None:
    assert new_token("ann")[0] != new_token("ann")[0]


@pytest.mark.parametrize("user", ["", " ann", "a\nb", "x" * 256, "bob # new phone"])
def test_no_token_is_made_for_a_name_that_nobody_may_have(user: str) -> None:
    with pytest.raises(ConfigError):
        new_token(user)


# ---------------------------------------------------------------- other doors


@pytest.mark.proves("EP-6.3-6")
def test_an_open_door_accepts_any_credential_and_proves_no_name() -> None:
    assert AllowAll().authenticate("ann", b"\xff", "") == Proof()


@pytest.mark.parametrize("user", ["", "ann"])
def test_a_certificate_proves_its_name(user: str) -> None:
    assert Certificates().authenticate(user, b"", "ann") == Proof("ann")


@pytest.mark.parametrize(("user", "certified"), [("bob", "ann"), ("ann", ""), ("", "")])
def test_a_certificate_proves_no_other_name(user: str, certified: str) -> None:
    assert Certificates().authenticate(user, b"", certified) is None


def test_two_locks_want_two_keys_of_one_name(path: Path) -> None:
    auth = AllOf([Certificates(), tokens(path, line("sesame", "ann"))])

    assert auth.authenticate("", b"sesame", "ann") == Proof("ann")
    assert auth.authenticate("ann", b"sesame", "ann") == Proof("ann")
    assert auth.authenticate("", b"sesame", "bob") is None
    assert auth.authenticate("", b"sesame", "") is None
    assert auth.authenticate("", b"mellon", "ann") is None


def test_each_option_puts_a_lock_on_the_door(path: Path) -> None:
    path.write_text(line("sesame", "ann"))
    certificates: dict[str, Any] = {"tls_cert": "cert.pem", "tls_ca": "ca.pem"}

    opened = authenticator_of(Config())
    by_token = authenticator_of(Config(tokens=str(path)))
    by_certificate = authenticator_of(Config(**certificates))
    by_both = authenticator_of(Config(tokens=str(path), **certificates))

    def keys_that_fit(auth: Auth) -> list[tuple[bytes, str]]:
        keys = [(b"", ""), (b"sesame", ""), (b"", "ann"), (b"sesame", "ann")]
        return [key for key in keys if auth.authenticate("ann", *key)]

    assert len(keys_that_fit(opened)) == 4
    assert keys_that_fit(by_token) == [(b"sesame", ""), (b"sesame", "ann")]
    assert keys_that_fit(by_certificate) == [(b"", "ann"), (b"sesame", "ann")]
    assert keys_that_fit(by_both) == [(b"sesame", "ann")]


def test_several_authenticators_reload_their_file(path: Path) -> None:
    path.write_text(line("sesame", "ann"))
    auth = authenticator_of(Config(tokens=str(path)))
    path.write_text(line("mellon", "ann"))

    reload(auth)

    assert auth.authenticate("", b"sesame", "") is None
    assert auth.authenticate("", b"mellon", "") == Proof("ann")
