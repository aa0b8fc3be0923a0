"""Options of the test suite: `--benchmark` runs benchmarks, `--update-snapshots` rewrites them."""

import signal

import pytest
from hypothesis import settings

# How long an example takes is the machine's affair: on a busy one 200 ms are nothing.
settings.register_profile("flinfast", deadline=None)
settings.load_profile("flinfast")


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
    """
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
