"""The build backend of the workspace root: says what to install instead.

Rule: no build of the root ever succeeds. Without this, pip would build the root
with setuptools, install an empty `UNKNOWN-0.0.0` and report success.

Failing at import covers every hook of every frontend.
"""

raise SystemExit(
    "\n"
    "The root of this workspace is not a package; the packages are below it. Use\n"
    "\n"
    "    pip install ./packages/eventcodec ./packages/refserver\n"
    "\n"
    "(with -e before each path for an editable install), or `uv sync`.\n"
)
