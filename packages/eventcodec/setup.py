"""The one part of the build that needs code: an optional extension, one binary for all Pythons.

Without a compiler, or with EVENTCODEC_PURE=1 in the environment, the package is built without it
and works the same, slower. A free-threaded Python gets none: it has no Limited API.
"""

import os
import sysconfig

from setuptools import Extension, setup

pure = os.environ.get("EVENTCODEC_PURE") == "1" or bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
speedups = Extension(
    "eventcodec._speedups",
    ["src/eventcodec/_speedups.c"],
    py_limited_api=True,
    # Debug information holds the path of the folder that it was built in.
    extra_compile_args=[] if os.name == "nt" else ["-g0"],
    optional=True,
)

setup(
    ext_modules=[] if pure else [speedups],
    options={} if pure else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
