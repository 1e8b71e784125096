"""Assertions in the modules that tests share say as much as those in tests, under -O too."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "tests.eventcodec.differential",
    "tests.eventcodec.fuzz.harness",
    "tests.eventcodec.streams",
)
