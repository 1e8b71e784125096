"""`python -m eventcodec`.

Rule: it only calls `commands`.

Layer: the top, above `commands`.
"""

from __future__ import annotations

import sys

from .commands import main

if __name__ == "__main__":
    sys.exit(main())
