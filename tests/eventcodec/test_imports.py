"""What `import eventcodec` brings into a process, on the Python that runs here."""

from __future__ import annotations

import subprocess
import sys

IO = {"asyncio", "multiprocessing", "selectors", "socket", "ssl", "subprocess", "threading"}


def test_beyond_construct_nothing_comes_that_does_io_or_starts_threads() -> None:
    """construct imports `pdb`, which imports asyncio on Python 3.14."""
    script = (
        "import construct, sys\n"
        "brought = set(sys.modules)\n"
        "import eventcodec\n"
        f"print(sorted({IO} & (sys.modules.keys() - brought)))"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
