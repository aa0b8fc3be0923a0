"""Compiled parts of flinfast: one static library from csrc/, one extension per *.pyx.

Everything else is declared in pyproject.toml. Environment variables choose a build:
FLINFAST_DEBUG=1 keeps asserts, FLINFAST_SANITIZE=1 adds ASan and UBSan.
"""

import os
import runpy
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("FLINFAST_DEBUG") == "1"
SANITIZE = os.environ.get("FLINFAST_SANITIZE") == "1"
C_SOURCES = sorted(str(path) for path in Path("csrc").glob("*.c"))
C_HEADERS = sorted(str(path) for path in Path("csrc").glob("*.h"))
PYX_SOURCES = sorted(Path("flinfast").glob("*/*.pyx"))

compile_args = ["-std=c11", "-D_GNU_SOURCE", "-fvisibility=hidden", "-O1" if SANITIZE else "-O3"]
link_args: list[str] = []
macros: list[tuple[str, str | None]] = [] if DEBUG or SANITIZE else [("NDEBUG", None)]
if SANITIZE:
    compile_args += ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g"]
    link_args += ["-fsanitize=address,undefined"]

core = (
    "flincore",
    {
        "sources": C_SOURCES,
        "include_dirs": ["csrc"],
        "obj_deps": {"": C_HEADERS},
        "macros": macros,
        "cflags": [*compile_args, "-fPIC"],
    },
)

extensions = [
    Extension(
        ".".join(path.with_suffix("").parts),
        [str(path)],
        include_dirs=["csrc"],
        depends=[*C_HEADERS, *C_SOURCES, "flinfast/native/csrc.pxd"],
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    for path in PYX_SOURCES
]

built = runpy.run_path("flinfast/native/built.py")
before = built["look"](".")
distribution = setup(
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
    libraries=[core] if C_SOURCES else [],
    ext_modules=cythonize(
        extensions,
        compiler_directives={
            "language_level": 3,
            "binding": True,
            "embedsignature": False,
            "freethreading_compatible": False,
        },
        nthreads=0 if sys.platform == "darwin" else 2,
    )
    if extensions
    else [],
)

# Modules that lie among the sources are compared with them when they are imported.
was_built = all(distribution.have_run.get(name) for name in ("build_clib", "build_ext"))
if was_built and distribution.get_command_obj("build_ext").inplace:
    built["note"](".", before)
