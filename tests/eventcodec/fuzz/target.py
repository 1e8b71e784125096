"""What atheris runs: the harness, with the codec and its generated functions instrumented.

Started by `python -m tests.eventcodec.fuzz`; takes the options of libFuzzer.
"""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

with atheris.instrument_imports(include=["eventcodec"]):
    from tests.eventcodec.differential import CLASSES
    from tests.eventcodec.fuzz import harness

if __name__ == "__main__":
    for event in CLASSES:
        for function in (event.compiled.decode, event.compiled.encode):
            atheris.instrument_func(function)
    # libFuzzer starts itself anew by its first argument when it merges.
    itself = f"{sys.executable} -m tests.eventcodec.fuzz.target"
    atheris.Setup([itself, *sys.argv[1:]], harness.check)
    atheris.Fuzz()
