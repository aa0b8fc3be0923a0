"""Options of the test suite: `--benchmark` runs benchmarks, `--update-snapshots` rewrites them."""

import os
import resource
import shutil
import signal
import tempfile
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes is the machine's affair: on a busy one 200 ms are nothing, nor is the
# second after which making examples counts as slow.
settings.register_profile("flinfast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("flinfast")

# Enough for the largest crowd, where the machine allows it.
DESCRIPTORS_MAX = 1 << 20


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register our options."""
    group = parser.getgroup("flinfast")
    group.addoption(
        "--benchmark",
        action="store_true",
        help="run the benchmarks (pytest-benchmark) instead of only checking that they work",
    )
    group.addoption(
        "--update-snapshots",
        action="store_true",
        help="rewrite the stored texts that snapshot tests compare with",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """`--benchmark` switches pytest-benchmark on; without it a benchmark runs its body once.

    Signals that were ignored when pytest started, as a shell script does for what it puts in the
    background and nohup for SIGHUP, are restored: the servers under test inherit them.

    A server raises the limit of descriptors of its process. Servers of some tests run in that of
    the tests: it is raised for all of them, so that none depends on which ones ran before it.

    Where Python is told to write no compiled modules, each of some hundred servers would compile
    all of them, three times the work of its start: they are kept in a folder of this run.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        folder = tempfile.mkdtemp(prefix="flinfast-pycache-")
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    with suppress(OSError, ValueError):  # macOS has a lower limit of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
    if config.getoption("--benchmark"):
        config.option.benchmark_disable = False
        config.option.benchmark_enable = True


@pytest.fixture
def update_snapshots(request: pytest.FixtureRequest) -> bool:
    """Whether stored texts are to be rewritten."""
    return bool(request.config.getoption("--update-snapshots"))
