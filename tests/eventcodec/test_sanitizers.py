"""The native module under two sanitizers, over millions of frames, in other interpreters.

Rule: what a sanitizer finds ends the child process with its report, and so the test.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

import eventcodec
from eventcodec import Codec, Decoder, Error, Event, Message, Ping, encode, speedups
from eventcodec.codec import relay

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(eventcodec.__file__).with_name("_speedups.c")
FLAGS = "-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
COMPILER = os.environ.get("CC", "cc")
NATIVE = pytest.mark.skipif(speedups.native is None, reason="there is no native module")
MIB = 1 << 20


def runtime() -> str | None:
    """The library of AddressSanitizer, which must come first in a process that was not built so."""
    if shutil.which(COMPILER) is None or not SOURCE.exists():
        return None
    ask = [COMPILER, "-print-file-name=libasan.so"]
    found = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
    return found if os.path.isabs(found) else None


@pytest.fixture(scope="module")
def library() -> str:
    found = runtime()
    if found is None:
        pytest.skip("there is no compiler with AddressSanitizer, or only the wheel is installed")
    return found


@pytest.fixture(scope="module")
def module(library: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The native module, built with both sanitizers."""
    return build(SOURCE, tmp_path_factory.mktemp("sanitized"))


def build(source: Path, folder: Path) -> Path:
    target = folder / "_speedups.so"
    include = f"-I{sysconfig.get_path('include')}"
    command = [
        COMPILER,
        *FLAGS.split(),
        "-shared",
        "-fPIC",
        include,
        str(source),
        "-o",
        str(target),
    ]
    subprocess.run(command, check=True, timeout=600)
    return target


def run(library: str, module: Path, *arguments: str, timeout: float = 600) -> str:
    """What a child says that has this module; it must end well."""
    environment = {
        **os.environ,
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",  # Python itself keeps what it has until it ends
        "PYTHONMALLOC": "malloc",  # else the sanitizer sees arenas and not objects
        "EVENTCODEC_PURE": "",
    }
    command = [sys.executable, "-m", "tests.eventcodec.sanitized", str(module), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return done.stdout


@pytest.mark.once
def test_the_sanitizers_find_nothing_in_a_short_flood(library: str, module: Path) -> None:
    assert int(run(library, module, "flood", "1").split()[0]) >= 2_000


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_the_sanitizers_find_nothing_in_ten_minutes(library: str, module: Path) -> None:
    """Or in FUZZ_SECONDS."""
    seconds = os.environ.get("FUZZ_SECONDS", "600")

    said = run(library, module, "flood", seconds, timeout=float(seconds) + 600)

    print(said.strip())
    assert int(said.split()[0]) > 0


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_the_sanitizers_find_nothing_in_the_tests_of_the_native_module(
    library: str, module: Path
) -> None:
    tests = ["tests/eventcodec/test_speedups.py", "tests/eventcodec/test_compiler.py"]

    run(library, module, "-q", "-n", "0", "-p", "no:cacheprovider", *tests, timeout=1_000)


@pytest.mark.once
def test_a_length_that_is_not_checked_is_found(library: str, tmp_path: Path) -> None:
    """So that the tests above can fail: the last check of `decode_many` is taken out."""
    check = "|| length > (uint64_t)(size - at - LENGTH_SIZE))\n            break;\n        stop ="
    source = SOURCE.read_text()
    assert source.count(check) == 1
    broken = tmp_path / "broken.c"
    broken.write_text(source.replace(check, ")\n            break;\n        stop ="))

    target = build(broken, tmp_path)

    with pytest.raises(AssertionError, match="AddressSanitizer: heap-buffer-overflow"):
        run(library, target, "flood", "5")


# ---------------------------------------------------------------- leaks


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


@NATIVE
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc")
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("frames", [1_000_000, pytest.param(10_000_000, marks=pytest.mark.slow)])
def test_memory_stays_what_it_was_over_millions_of_frames(frames: int) -> None:
    """A leak of three bytes a frame would be seen."""
    events: list[Event] = [
        Message(seq=n, sender="ann", content=f"message {n} ü") for n in range(1, 301)
    ]
    events += [Ping(seq=n) for n in range(301, 601)]
    said = b"".join(encode(Message(seq=n, content="x" * 40)) for n in range(1, 401))
    stream = b"".join(map(encode, [*events, Error(code=7, text="cut", seq=601)]))[:-1] + b"\xff"
    codec = Codec([])

    def thousand() -> int:
        decoder = Decoder(codec=codec)
        decoder.receive_data(stream)
        decoded = [encode(event) for event in decoder.events() if isinstance(event, Message | Ping)]
        facts, acks, _ = relay(said, 0, 4_096, b"\x03ann", 1, 400)
        assert len(acks) == 24 * len(facts)
        return len(decoded) + len(facts)

    for _ in range(50):
        assert thousand() == 1_000
    gc.collect()
    before = resident()

    for _ in range(frames // 1_000):
        thousand()

    gc.collect()
    assert resident() - before < 3 * MIB


# ---------------------------------------------------------------- the headers of a later Python

ASK = "import sysconfig; print(sysconfig.get_path('include'))"


def later_headers() -> Path | None:
    """The headers of the latest Python here that is later than this one."""
    minor = sys.version_info[1]
    for later in range(minor + 5, minor, -1):
        if python := shutil.which(f"python3.{later}"):
            done = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=False)
            include = Path(done.stdout.strip())
            if done.returncode == 0 and (include / "Python.h").exists():
                return include
    return None


SELFTEST = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("eventcodec._speedups", sys.argv[1])
sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[spec.name])
import eventcodec.selftest
assert eventcodec.IMPLEMENTATION == "native"
wrong = [result for result in eventcodec.selftest.run() if not result.passed]
assert not wrong, wrong
"""


@pytest.mark.skipif(shutil.which(COMPILER) is None, reason="no compiler")
@pytest.mark.skipif(not SOURCE.exists(), reason="only the wheel is installed")
def test_a_module_built_with_the_headers_of_a_later_python_works_here(tmp_path: Path) -> None:
    """One wheel serves every Python, whichever built it."""
    include = later_headers()
    if include is None:
        pytest.skip("no headers of a later Python")
    target = tmp_path / "_speedups.so"
    build = [COMPILER, "-shared", "-fPIC", f"-I{include}", str(SOURCE), "-o", str(target)]
    subprocess.run(build, check=True, timeout=600)
    environment = {**os.environ, "EVENTCODEC_PURE": ""}

    done = subprocess.run(
        [sys.executable, "-c", SELFTEST, str(target)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- other interpreters

IN_ANOTHER = """
import eventcodec
from eventcodec import Decoder, Message, encode
decoder = Decoder()
decoder.receive_data(encode(Message(seq=1, content="hi")) * 3)
assert [event.content for event in decoder.events()] == ["hi"] * 3
"""
SUBINTERPRETERS = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
program = sys.argv[1]
exec(program)
for _ in range(3):
    one = interpreters.create()
    failed = interpreters.run_string(one, program)
    assert failed is None, failed
    interpreters.destroy(one)
exec(program)
"""


@pytest.mark.parametrize("pure", ["0", "1"])
def test_each_interpreter_of_a_process_has_a_codec_of_its_own(pure: str) -> None:
    # Coverage would start in each interpreter, and knows no more than one of a process.
    plain = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")}
    environment: Mapping[str, str] = {**plain, "EVENTCODEC_PURE": pure}

    done = subprocess.run(
        [sys.executable, "-c", SUBINTERPRETERS, IN_ANOTHER],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_free_threaded_python_loads_no_native_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENTCODEC_PURE", raising=False)
    monkeypatch.setattr(sys, "version", "3.14.0 free-threading build (main)")

    assert speedups._load() is None
