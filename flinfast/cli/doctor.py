"""`flinfast doctor`: whether this machine and a project are ready to serve, line by line."""

from __future__ import annotations

import json
import os
import platform
import re
import select
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module, metadata
from pathlib import Path
from typing import Final

import click

from flinfast import __version__
from flinfast.cli import doctor_machine as machine
from flinfast.cli.doctor_finding import Finding
from flinfast.cli.report import EXIT_FAULTS, has_color
from flinfast.cli.usage import example
from flinfast.errors import BuildError, CompileError, ConfigError, FlinError
from flinfast.server import config as settings

PYTHON_LEAST: Final = (3, 11)
DESCRIPTORS_LEAST: Final = 4096  # some thousand connections; each takes one
DISK_LEAST: Final = 256 << 20  # room for the log, a checkpoint and a backup of a small database
DISK_NONE: Final = 16 << 20  # below this the next writes fail
_COLORS: Final = {"ok": "green", "warning": "yellow", "error": "red"}
_NATIVE: Final = (
    *("native.collection", "native.dispatch", "native.frame", "native.handshake", "native.hub"),
    *("native.mask", "native.operators", "store.quick"),
)
_OTHERS_MAY: Final = 0o077  # permission bits of group and others


@click.command("doctor", epilog=example("flinfast doctor", "flinfast doctor chat --json"))
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--json", "as_json", is_flag=True, help="Print findings as JSON.")
def command(path: Path, as_json: bool) -> int:
    """Check this machine and the project at PATH: what would keep it from serving well.

    Nothing is changed; the database is read from end to end. Exits 1 when something is an error.
    """
    findings: list[Finding] = []
    for finding in _examine(path):
        findings.append(finding)
        if not as_json:
            _show(finding)
    errors = sum(finding.level == "error" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    if as_json:
        found = [asdict(finding) for finding in findings]
        click.echo(
            json.dumps({"findings": found, "errors": errors, "warnings": warnings}, indent=2)
        )
    else:
        click.echo(f"\nerrors: {errors}, warnings: {warnings}")
    return EXIT_FAULTS if errors else 0


def _show(finding: Finding) -> None:
    word = click.style(f"{finding.level:7}", fg=_COLORS[finding.level])
    click.echo(f"{word}  {finding.name:12} {finding.text}", color=has_color(1))
    if finding.help:
        click.echo(f"         = help: {finding.help}")


def _examine(path: Path) -> Iterator[Finding]:
    yield from _python()
    yield _packages()
    native = _native()
    yield native
    yield from machine.descriptors(DESCRIPTORS_LEAST)
    if native.level == "error":
        return  # the rest needs them
    yield _loop()
    from flinfast.runtime.project import find_root

    try:
        root, _ = find_root(path)
    except ConfigError as error:
        yield Finding("error", "project", str(error), error.hint)
        return
    yield _source(path)
    try:
        config = settings.load(root, environ=os.environ)
    except ConfigError as error:
        at = f"{error.path}: " if error.path else ""
        yield Finding("error", "settings", f"{at}{error}", error.hint)
        return
    yield _settings(config)
    folder = root / config.settings.store.path
    yield from _secret(config, folder)
    yield _database(path, config)
    yield _disk(folder)
    server = config.settings.server
    yield _address(config)
    yield from machine.hosts(server)
    yield from machine.backlog(server)
    yield machine.clock(machine.newest_change(root))
    if server.ssl_certfile:
        yield machine.certificate(server)


# --- the machine ----------------------------------------


def _python() -> Iterator[Finding]:
    text = f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}"
    if sys.version_info < PYTHON_LEAST:
        wanted = ".".join(map(str, PYTHON_LEAST))
        yield Finding("error", "python", text, f"install Python {wanted} or newer")
    else:
        yield Finding("ok", "python", f"{text} {platform.machine()}")


def _packages() -> Finding:
    """The dependencies that the package itself declares, which are those without an extra."""
    try:
        declared = metadata.requires("flinfast") or []
    except metadata.PackageNotFoundError:
        return Finding("ok", "packages", f"flinfast {__version__}, run from its source folder")
    missing, found = [], []
    for line in declared:
        name = re.split(r"[\s<>=!~;\[(]", line, maxsplit=1)[0]
        if "extra ==" in line or ("sys_platform" in line and sys.platform == "win32"):
            continue
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        text = f"missing: {', '.join(missing)}"
        return Finding("error", "packages", text, "run `pip install --upgrade flinfast`")
    return Finding("ok", "packages", f"flinfast {__version__}, {', '.join(found)}")


def _native() -> Finding:
    broken = []
    for name in _NATIVE:
        try:
            import_module(f"flinfast.{name}")
        except BuildError as error:
            return Finding("error", "native", str(error), error.hint)
        except ImportError as error:
            broken.append(f"{name} ({error})")
    if broken:
        text = f"compiled modules cannot be loaded: {', '.join(broken)}"
        return Finding("error", "native", text, "install a wheel for this platform, or build again")
    from flinfast.native.mask import mask_implementation

    chosen = mask_implementation()
    text = f"{len(_NATIVE)} compiled modules, masking with {chosen}"
    if chosen == "portable":
        return Finding(
            "warning", "native", text, "no SIMD of this CPU is used: large messages take longer"
        )
    return Finding("ok", "native", text)


def _loop() -> Finding:
    from flinfast.server.loop import new_loop

    try:
        loop = new_loop()
    except ImportError as error:
        return Finding("error", "event loop", str(error), "run `pip install uvloop`")
    name = type(loop).__module__.partition(".")[0]
    loop.close()
    if hasattr(select, "epoll"):
        return Finding("ok", "event loop", f"{name}, plain connections by epoll")
    return Finding(
        "warning",
        "event loop",
        f"{name}, without epoll",
        "connections take more memory here; serve many of them on Linux",
    )


# --- the project ----------------------------------------


def _source(path: Path) -> Finding:
    from flinfast.runtime.loading import compile_files
    from flinfast.runtime.project import load_project

    try:
        compiled = compile_files(load_project(path, with_tests=True))
    except CompileError as error:
        count = sum(d.severity == "error" for d in error.diagnostics)
        text = f"{count} fault{'' if count == 1 else 's'} in the source"
        return Finding("error", "project", text, f"run `flinfast check {path}`")
    except ConfigError as error:
        return Finding("error", "project", str(error), error.hint)
    files, warnings = len(compiled.program.files), len(compiled.program.diagnostics)
    text = f"{files} source file{'' if files == 1 else 's'} without faults"
    if warnings:
        more = f"{text}, {warnings} warning{'' if warnings == 1 else 's'}"
        return Finding("warning", "project", more, f"run `flinfast check {path}`")
    return Finding("ok", "project", text)


def _settings(config: settings.Config) -> Finding:
    if config.notes:
        return Finding("warning", "settings", "; ".join(config.notes))
    changed = sum(origin != settings.DEFAULT_ORIGIN for origin in config.origins.values())
    mode = config.settings.mode
    return Finding("ok", "settings", f"mode {mode}, {changed} set, all others as by default")


def _secret(config: settings.Config, folder: Path) -> Iterator[Finding]:
    from flinfast.runtime.secret import SECRET_FILE

    if config.settings.session.secret:
        yield Finding("ok", "secret", "set by `session.secret`")
        return
    file = folder / SECRET_FILE
    try:
        mode = file.stat().st_mode
        file.read_bytes()
    except FileNotFoundError:
        yield Finding("ok", "secret", f"{file} will be made when the project is first served")
    except OSError as error:
        yield Finding("error", "secret", f"{file}: {error.strerror}", "serve as the owner of it")
    else:
        if mode & _OTHERS_MAY and sys.platform != "win32":
            text = f"others may read {file}, and so make sessions"
            yield Finding("error", "secret", text, f"run `chmod 600 {file}`")
        else:
            yield Finding("ok", "secret", f"{file}, for its owner only")


def _database(path: Path, config: settings.Config) -> Finding:
    from flinfast.cli.db import load_data, plan_of
    from flinfast.store.check import integrity
    from flinfast.store.sqlite import FILE_NAME

    name = "database"
    try:
        data = load_data(path)
        if not data.url:
            file = data.folder / FILE_NAME
            if not file.exists():
                text = f"{file} will be made when the project is first served"
                return Finding("ok", name, text)
            problems = integrity(file)
            if problems:
                help = "stop the server and run `flinfast db restore` with a backup"
                return Finding("error", name, f"{file}: {problems[0]}", help)
        plan = plan_of(data)
    except CompileError:
        return Finding("warning", name, "not checked, as the source has faults")
    except FlinError as error:
        return Finding("error", name, str(error), getattr(error, "hint", ""))
    shown = "PostgreSQL" if data.url else f"{data.folder / FILE_NAME} is sound"
    if plan.decisions:
        help = f"run `{plan.command or f'flinfast db diff {path}'}`"
        return Finding("error", name, f"{shown}, but does not fit: {plan.decisions[0]}", help)
    if plan.changes:
        text = f"{shown}, {len(plan.changes)} changes will be made when it is next served"
        return Finding("ok", name, text)
    return Finding("ok", name, f"{shown} and fits the entities")


def _disk(folder: Path) -> Finding:
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    text = f"{free / (1 << 30):.1f} GB free in {place}"
    if not os.access(place, os.W_OK):
        return Finding("error", "disk", f"{place} cannot be written", "serve as its owner")
    if free < DISK_NONE:
        return Finding("error", "disk", text, "make room: writes are about to fail")
    if free < DISK_LEAST:
        return Finding("warning", "disk", text, "make room before writes fail")
    return Finding("ok", "disk", text)


def _address(config: settings.Config) -> Finding:
    server = config.settings.server
    if server.uds:
        parent = Path(server.uds).parent
        if not parent.is_dir():
            return Finding("error", "address", f"{parent} does not exist", f"run `mkdir {parent}`")
        return Finding("ok", "address", f"Unix socket {server.uds}")
    if server.fd >= 0:
        return Finding("ok", "address", f"inherited socket {server.fd}")
    where = f"{server.host} port {server.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            server.host or None, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        text = f"{where}: {error.strerror or error}"
        help = "a server may be running; else choose another port: `flinfast serve --port N`"
        return Finding("warning", "address", text, help)
    return Finding("ok", "address", f"{where} is free")
