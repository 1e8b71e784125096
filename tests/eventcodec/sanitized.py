"""Python with eventcodec's native module built by another compiler run: `sanitized.py MODULE …`.

Started by test_sanitizers.py. `flood SECONDS` decodes and encodes mutated frames for so long;
anything else is what pytest is asked to run.
"""

from __future__ import annotations

import sys
import time
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

NAME = "eventcodec._speedups"


def load(path: str) -> None:
    """Let this file be the native module, before eventcodec is imported."""
    spec = spec_from_file_location(NAME, path, loader=ExtensionFileLoader(NAME, path))
    assert spec is not None and spec.loader is not None
    sys.modules[NAME] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


def flood_for(seconds: float) -> int:
    """How many mutated frames were decoded in that time: nothing undocumented came out."""
    from tests.eventcodec.fuzz.flood import flood

    until, count, batch = time.monotonic() + seconds, 0, 2_000
    while time.monotonic() < until:
        flood(batch, seed=count)
        count += batch
    return count


def main(path: str, *arguments: str) -> int:
    load(path)
    import eventcodec.speedups

    assert eventcodec.speedups.native is sys.modules[NAME]
    if arguments[0] == "flood":
        print(flood_for(float(arguments[1])), "mutated frames")
        return 0
    import pytest

    return int(pytest.main([*arguments]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
