"""Write the pages that come from the code: settings, commands, builtins, errors.

`python docs/generate.py` rewrites them; with `--check` it writes nothing, prints the pages that are
out of date, and exits 1 when there are some.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent


def _default(value: object) -> str:
    if value == "" or value == ():
        return "(empty)"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{value}`"


def settings_page() -> str:
    """docs/reference/settings.md."""
    from flinfast.server.config import all_keys
    from flinfast.server.setting_text import SETTING_TEXTS

    lines = [
        "# Settings",
        "",
        "A flag wins over a variable, a variable over `flinfast.toml`, the file over the default.",
        "`flinfast config show` prints every value and where it came from.",
        "Sizes are bytes or text such as `32MB`; times are seconds or text such as `30s`.",
        "`FLIN_ENV` is `production` (the default of `serve`), `test` or `dev`.",
    ]
    table = ""
    for key in all_keys():
        if key.table != table:
            table = key.table
            lines += ["", f"## [{table}]", "", "| key | variable | default | meaning |"]
            lines.append("|---|---|---|---|")
        meaning = SETTING_TEXTS[key.path]
        lines.append(f"| `{key.name}` | `{key.variable}` | {_default(key.default)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, path: str) -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        full = f"{path} {name}"
        found.append((full, command))
        if isinstance(command, click.Group):
            found += _commands(command, full)
    return found


def commands_page() -> str:
    """docs/reference/cli.md."""
    from flinfast.cli.commands import group

    lines = ["# Commands", "", "Exit status: 0 ok, 1 faults in the project, 2 usage, 70 a bug."]
    for path, command in _commands(group, "flinfast"):
        context = click.Context(
            command, info_name=path, terminal_width=78, help_option_names=["-h", "--help"]
        )
        lines += ["", f"## {path}", "", "```text", command.get_help(context), "```"]
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """docs/errors.md: every code with its title and the long page."""
    from flinfast.lang import catalog

    folder = Path(catalog.__file__).parent / "explain"
    lines = ["# Diagnostics", "", "`flinfast explain CODE` shows the same pages."]
    for code in sorted(catalog.CATALOG):
        text = (folder / f"{code}.md").read_text(encoding="utf-8").strip()
        body = "\n".join(line for line in text.splitlines() if not line.startswith("# "))
        lines += ["", f"## {code}: {catalog.CATALOG[code]}", "", body.strip()]
    return "\n".join(lines) + "\n"


PAGES = {
    "reference/settings.md": settings_page,
    "reference/cli.md": commands_page,
    "errors.md": errors_page,
}


def main(*, check: bool) -> int:
    """Rewrite what is out of date, or with `check` only tell it.

    Returns:
        The exit status: 1 when something is out of date and stays so.
    """
    stale = [
        name
        for name, page in PAGES.items()
        if not (HERE / name).exists() or (HERE / name).read_text(encoding="utf-8") != page()
    ]
    for name in stale:
        if not check:
            (HERE / name).write_text(PAGES[name](), encoding="utf-8")
        sys.stdout.write(f"{name}\n")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
