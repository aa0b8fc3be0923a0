"""Compiles a project in a process of its own, so that the one that serves goes on serving.

A thread would not do for long: compiling is Python, and takes the interpreter from the loop. The
child leaves the compiled program in the cache, from which it is read in a fraction of the time;
faults come back over its standard output. Its standard input is a pipe that nothing is written to:
when that ends, the server is gone, however it went, and the child ends with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from flinfast.errors import CompileError, FlinError
from flinfast.runtime.loading import Compiled, compile_files
from flinfast.runtime.project import load_project

COMPILE_S_MAX: Final = 600.0  # a project that takes longer is compiled by nobody
APART_CHARS_MIN: Final = 32 << 10  # less is compiled sooner than a process starts: half a second
EXIT_FAULTS: Final = 1
EXIT_ORPHANED: Final = 2
_MODULE: Final = "flinfast.runtime.compile_apart"


def compile_apart(path: Path, folder: Path) -> Compiled:
    """Compile a project; blocks, but leaves the interpreter to others: to be called in a thread.

    Args:
        path: Project root, its `app` folder, or one `.flin` file.
        folder: Of the project's data; the compiled program is kept there.

    Raises:
        CompileError: The source has faults.
        ConfigError: There is no project.
        OSError: The process could not be started.
        TimeoutExpired: It took longer than COMPILE_S_MAX.
    """
    project = load_project(path)
    if sum(len(file.source.text) for file in project.files) < APART_CHARS_MIN:
        return compile_files(project, folder)
    command = [sys.executable, "-m", _MODULE, os.path.abspath(path), os.path.abspath(folder)]
    # Safe path: a file of the project must not stand in for a module of Python.
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    theirs, ours = os.pipe()  # neither is inherited by other children, so the end is seen
    try:
        done = subprocess.run(
            command,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=COMPILE_S_MAX,
            check=False,
        )
    finally:
        os.close(theirs)
        os.close(ours)
    if done.returncode == EXIT_FAULTS and done.stdout:
        import pickle

        raise CompileError(pickle.loads(done.stdout))  # written by this module, over our own pipe
    return compile_files(load_project(path), folder)


def _end_with_parent() -> None:
    """Wait until the parent's end of the pipe is closed; nobody wants the result then."""
    while os.read(0, 1):
        pass
    os._exit(EXIT_ORPHANED)  # a kept program is renamed into place as a whole, so none is damaged


def _main(path: Path, folder: Path) -> int:
    try:
        compile_files(load_project(path), folder)
    except CompileError as error:
        import pickle

        sys.stdout.buffer.write(pickle.dumps(error.diagnostics))
        return EXIT_FAULTS
    except FlinError:
        return 0  # whoever asked meets it again, and tells it
    return 0


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, name="flinfast-orphan", daemon=True).start()
    sys.exit(_main(Path(sys.argv[1]), Path(sys.argv[2])))
