"""The protocol described in other tools' languages, from the declarations of its events.

Rule: a description knows of an event only what its class declares. Each format is one function
of a `Protocol`, which is those declarations in plain data.

Layer: above `states`, below `commands`.
"""

from __future__ import annotations

from collections.abc import Callable

from .kaitai import kaitai
from .layout import Protocol, protocol
from .markdown import markdown
from .wireshark import wireshark

__all__ = ["FORMATS", "Protocol", "protocol"]

FORMATS: dict[str, Callable[[Protocol], str]] = {
    "wireshark": wireshark,
    "kaitai": kaitai,
    "markdown": markdown,
}
"""What `python -m eventcodec describe --as` offers: a name, and what writes the description."""
