"""docs/clients/session.mjs in scenes, each with a clock and a server that it moves itself.

The cases for clients and the browser show what the module does with a right server; these show what
it does with time, with wrong servers and with the page's own faults.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

MODULE = (Path(__file__).parents[2] / "docs" / "clients" / "session.mjs").as_uri()
SCENES = Path(__file__).with_name("session_scenes.mjs")
NODE = shutil.which("node")
LOGIN, MESSAGE, LOGOUT, PING = 1, 2, 3, 6

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(NODE is None, reason="node is not installed"),
]


def node(*words: str) -> Any:
    done = subprocess.run(
        [str(NODE), str(SCENES), MODULE, *words], capture_output=True, timeout=600
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


ENDS: dict[str, Any] = {
    "a server that is silent after the Logout is left": [[LOGIN, LOGOUT], ["online", "closed"]],
    "a silent server that names no heartbeat is asked, and left": [
        [LOGIN, PING],
        ["online", "offline"],
    ],
    "after a sleep the server is asked before it is left": [
        [LOGIN, PING],
        ["online"],
        ["still here"],
    ],
    "a refused marker is a pause": ["online", "offline", "online", "paused"],
    "a Welcome with another ticket, with none or with a small limit is a fault": [
        ["online", "offline", "paused"]
    ]
    * 3,
    "an exception of the page loses no event": [
        ["one", "two", "three"],
        ["the page's own"] * 3,
        ["online"],
    ],
    "a credential that cannot be had is a pause": [["paused"], 0],
    "who waits for a credential is not timed": [["online"], 1],
    "a request at which the server fails three times is a pause": [
        [*["online", "offline"] * 2, "online", "paused"],
        [],
    ],
    "a name that is taken may be held by a Login that got no reply": ["offline"] * 3,
    "a name that another one has is a pause": ["paused"],
    "only application types can be put": [["RangeError"] * 3, [LOGIN]],
    "it resumes from the last entry, of whichever kind": [
        2,
        [LOGIN, PING],
        [LOGIN, PING, MESSAGE],
        ["one", "three"],
        ["two 2"],
    ],
    "what is in doubt is found in the replay, or sent again behind the marker": [
        [LOGIN, PING],
        ["two"],
        ["one 1", "two 2"],
        [],
    ],
}
"""What comes of each scene; the scene says of what."""


def test_every_scene_has_an_end() -> None:
    assert node() == [*ENDS]


@pytest.mark.proves("EP-6.5-4", "EP-6.5-6", "EP-6.5-8", "EP-6.5-16", "EP-9.1-7")
@pytest.mark.parametrize("scene", ENDS)
def test_a_scene_ends_as_it_should(scene: str) -> None:
    assert node(scene) == ENDS[scene]
