"""What people write on a command line: one form for every command."""

from __future__ import annotations

import pytest

from refserver.arguments import address, spelled


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("localhost:4000", ("localhost", 4000)),
        ("localhost", ("localhost", 3000)),
        (":4000", ("localhost", 4000)),
        ("4000", ("localhost", 4000)),
        ("[::1]:4000", ("::1", 4000)),
        ("[::1]", ("::1", 3000)),
    ],
)
def test_an_address_may_leave_out_its_host_or_its_port(text: str, meant: tuple[str, int]) -> None:
    assert address(text) == meant


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        (" ", "it is empty"),
        ("localhost:0", "a port is 1 to 65535"),
        ("localhost:99999", "a port is 1 to 65535"),
        ("localhost:" + "9" * 5000, "a port is 1 to 65535"),
        ("localhost:", "a port is 1 to 65535"),
        ("localhost:http", "a port is 1 to 65535"),
        ("localhost:\u0663", "a port is 1 to 65535"),
        ("99999", "a port is 1 to 65535"),
        ("http://localhost:3000", "leave out http://"),
        ("::1", "an IPv6 address is written [::1]:3000"),
        ("two..dots:3000", "no machine can have such a name"),
        ("\udcff:3000", "no machine can have such a name"),
    ],
)
def test_what_is_no_address_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        address(text)

    assert reason in str(caught.value)


@pytest.mark.parametrize("both", [("localhost", 3000), ("192.0.2.1", 4000), ("::1", 65_535)])
def test_an_address_is_written_so_that_it_can_be_read_back(both: tuple[str, int]) -> None:
    assert address(spelled(*both)) == both
