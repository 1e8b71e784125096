"""What the tests of this folder share."""

from __future__ import annotations

import pytest
from tests.support.server import launched

from refserver import launcher


@pytest.fixture
def warm_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of the plugin for pytest start warm."""
    monkeypatch.setattr(launcher, "launched", launched)
