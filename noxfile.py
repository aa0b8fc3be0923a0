"""Everything a person runs: `nox -l` lists it, `nox -s NAME` does it."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The whole test suite, on each installed Python."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style of Python, Cython and C."""
    session.install("ruff", "cython-lint")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("cython-lint", "--no-pycodestyle", "flinfast")
    session.run("sh", "-c", "clang-format --dry-run -Werror csrc/*.[ch]", external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Static types."""
    session.install("-e", ".[test,lint]")
    session.run("mypy")
    names = ("hub", "frame", "mask", "operators", "collection", "dispatch")
    modules = [*(f"flinfast.native.{name}" for name in names), "flinfast.store.quick"]
    allowed = ["--allowlist", "tests/native/stubtest.txt", "--ignore-unused-allowlist"]
    session.run("python", "-m", "mypy.stubtest", *allowed, *modules)


@nox.session
def core(session: nox.Session) -> None:
    """C unit tests under AddressSanitizer and UndefinedBehaviorSanitizer; no Python needed."""
    session.run("make", "-C", "csrc", "test", external=True)


@nox.session
def tsan(session: nox.Session) -> None:
    """C unit tests under ThreadSanitizer: hubs of several threads, one hub that changes them."""
    session.run("make", "-C", "csrc", "tsan", external=True)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Each fuzz harness for a bounded time: `nox -s fuzz -- 60` gives each 60 seconds."""
    seconds = session.posargs[0] if session.posargs else "30"
    session.run("make", "-C", "csrc", "fuzz", f"FUZZ_SECONDS={seconds}", external=True)


@nox.session
def conformance(session: nox.Session) -> None:
    """All 517 Autobahn cases, strictly, in both data planes: an hour; needs Python 2.7."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.conformance.run_all", *session.posargs)


@nox.session
def differential(session: nox.Session) -> None:
    """100,000 random streams through our frame parser and wsproto's: some minutes."""
    session.install("-e", ".[test]")
    streams = {"FLINFAST_STREAMS": "100000"}
    session.run("pytest", "tests/native/test_differential.py", *session.posargs, env=streams)


@nox.session
def bench(session: nox.Session) -> None:
    """Throughput: `nox -s bench` for whole servers, `nox -s bench -- micro` for the parts."""
    session.install("-e", ".[test]")
    if session.posargs[:1] == ["micro"]:
        session.run("pytest", "bench", "--benchmark", *session.posargs[1:])
    else:
        session.run("python", "-m", "bench", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build sdist and wheel, install the wheel into a fresh environment, run its smoke test."""
    session.install("build", "pytest", "websockets")
    out = session.create_tmp()
    session.run("python", "-m", "build", "--outdir", out)
    session.run("sh", "-c", f"pip install --force-reinstall {out}/*.whl", external=True)
    session.chdir(out)
    apart = ["-c", "/dev/null", "--noconftest", "--import-mode=importlib", "-p", "no:cacheprovider"]
    session.run("pytest", *apart, "-q", f"{session.invoked_from}/tests/wheel")
