"""Version, reserved, seq. Section 2.2."""

from __future__ import annotations

from ...catalogue import Section

section = Section("header", "PEER-HEAD", needs=("PEER-LOGIN-01", "PEER-FACT-01"))
