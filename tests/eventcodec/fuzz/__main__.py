"""Coverage-guided fuzzing: `python -m tests.eventcodec.fuzz [SECONDS]`, from the root.

Starts from the corpus and keeps there what reaches something new. A finding ends the run
with exit code 1: put the printed line into regressions.txt, below one that says what it
is; every ordinary run replays it from then on. Needs atheris, as no other test does.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.eventcodec.fuzz.inputs import CORPUS, REGRESSIONS, load, save

FUZZER = (sys.executable, "-m", "tests.eventcodec.fuzz.target", "-max_len=1024")


def main(seconds: int) -> int:
    """Fuzz for so long; 1 if anything was found, else 0 and the corpus is up to date."""
    with tempfile.TemporaryDirectory() as folder:
        tried, kept = Path(folder, "tried"), Path(folder, "kept")
        for each in (tried, kept):
            each.mkdir()
        for number, data in enumerate(load(CORPUS) + load(REGRESSIONS)):
            (tried / str(number)).write_bytes(data)
        options = [f"-max_total_time={seconds}", f"-artifact_prefix={folder}/finding-"]
        done = subprocess.run([*FUZZER, *options, str(tried)], check=False)
        for finding in Path(folder).glob("finding-*"):
            print(finding.read_bytes().hex())
        if done.returncode:
            return 1
        subprocess.run([*FUZZER, "-merge=1", str(kept), str(tried)], check=True)
        save(CORPUS, (file.read_bytes() for file in kept.iterdir()))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 600))
