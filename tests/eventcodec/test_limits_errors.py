"""How much is held, and what can go wrong and whose fault it is."""

from __future__ import annotations

import pytest

from eventcodec import (
    ConnectionLostError,
    ErrorCode,
    EventCodecError,
    LocalProtocolError,
    PeerError,
    RemoteProtocolError,
    limits,
)
from eventcodec.limits import DEFAULT_MAX_FRAME, frame_limit
from eventcodec.tables import LIMITS

FATAL = {
    ErrorCode.MALFORMED,
    ErrorCode.FRAME_TOO_LARGE,
    ErrorCode.UNSUPPORTED_VERSION,
    ErrorCode.UNAUTHORIZED,
    ErrorCode.SLOW_CONSUMER,
    ErrorCode.TIMEOUT,
    ErrorCode.SERVER_FULL,
    ErrorCode.SHUTTING_DOWN,
    ErrorCode.UNAVAILABLE,
    ErrorCode.INTERNAL,
}
SECRET = "\x1b[31mfrom the peer"


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_a_limit_is_the_constant_of_its_name_with_a_reason_and_a_precedent(
    limit: limits.Limit,
) -> None:
    assert getattr(limits, limit.name) == limit.value
    assert limit.reason
    assert limit.precedent


def test_each_limit_is_listed_once() -> None:
    assert len({limit.name for limit in LIMITS}) == len(LIMITS)


def test_a_reader_takes_what_a_server_of_default_settings_writes() -> None:
    assert DEFAULT_MAX_FRAME == 65_536 + 255


@pytest.mark.parametrize("max_frame", [12, 2**32 - 1])
def test_a_limit_can_be_anything_that_a_length_can_say(max_frame: int) -> None:
    assert frame_limit(max_frame) == max_frame


@pytest.mark.parametrize("max_frame", [0, 11, 2**32])
def test_a_limit_that_no_length_can_say_is_refused(max_frame: int) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        frame_limit(max_frame)

    assert caught.value.field == "max_frame"


@pytest.mark.parametrize("code", ErrorCode)
def test_a_code_says_whether_it_ends_the_connection_and_what_it_means(code: ErrorCode) -> None:
    assert code.fatal is (code in FATAL)
    assert code.meaning
    assert ErrorCode.known(code.value) is code


@pytest.mark.parametrize("number", [0, 6, 999, 65_535])
def test_a_number_that_no_code_has_is_not_known(number: int) -> None:
    assert ErrorCode.known(number) is None


ERRORS: list[EventCodecError] = [
    LocalProtocolError("too long", field="user"),
    LocalProtocolError("not now"),
    RemoteProtocolError(ErrorCode.MALFORMED, "cut", field="user", offset=20, seq=3),
    RemoteProtocolError(ErrorCode.FRAME_TOO_LARGE, "too long"),
    PeerError(ErrorCode.TIMEOUT, SECRET),
    PeerError(999, SECRET),
    ConnectionLostError("no Logout"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_one_class_catches_whatever_this_package_raises(error: EventCodecError) -> None:
    with pytest.raises(EventCodecError):
        raise error


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.proves("EP-12-6")
def test_the_text_of_an_error_holds_nothing_of_the_peers(error: EventCodecError) -> None:
    assert SECRET not in str(error)
    assert str(error).isprintable()


def test_a_local_error_names_the_field_at_fault() -> None:
    error = LocalProtocolError("too long", field="user")

    assert (error.field, error.reason) == ("user", "too long")
    assert LocalProtocolError("not now").field is None


def test_a_protocol_error_says_what_to_tell_the_peer_and_where_it_was() -> None:
    error = RemoteProtocolError(ErrorCode.MALFORMED, "cut", field="user", offset=20, seq=3)

    assert error.code is ErrorCode.MALFORMED
    assert (error.field, error.offset, error.seq, error.reason) == ("user", 20, 3, "cut")


def test_a_remote_error_carries_the_code_and_the_text_of_the_peer() -> None:
    error = PeerError(ErrorCode.TIMEOUT, SECRET)

    assert (error.code, error.text) == (ErrorCode.TIMEOUT, SECRET)
