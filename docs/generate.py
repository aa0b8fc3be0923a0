"""Write the pages that come from the code: settings, commands, builtins, errors.

`python docs/generate.py` rewrites them; tests/test_docs.py fails when one is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent

# What each setting means, one sentence; sizes and times as people write them.
SETTINGS: dict[str, str] = {
    "server.host": "Address to listen on.",
    "server.port": "TCP port; 0 lets the system choose.",
    "server.uds": "Path of a Unix socket to listen on instead.",
    "server.fd": "Inherited, listening file descriptor to use instead; -1 for none.",
    "server.workers": "Processes that serve; 1 for now.",
    "server.backlog": "Connections the kernel may hold before they are accepted.",
    "server.root_path": "Path prefix that a proxy strips, for links.",
    "server.proxy_headers": "Believe `X-Forwarded-For` and `X-Forwarded-Proto` of trusted proxies.",
    "server.forwarded_allow_ips": "Addresses of trusted proxies.",
    "server.ssl_keyfile": "Private key in PEM; switches TLS on together with the certificate.",
    "server.ssl_certfile": "Certificate chain in PEM.",
    "server.head_size_max": "Request line and header fields; beyond it 431.",
    "server.header_count_max": "Header fields of a request; beyond it 431.",
    "server.body_size_max": "Request body; beyond it 413.",
    "server.head_timeout": "Time for a request's head to arrive; beyond it 408.",
    "server.body_timeout": "Silence within a request's body; beyond it 408.",
    "server.keep_alive": "Idle time of an HTTP connection before it is closed.",
    "server.drain": "Time that open work has after SIGTERM.",
    "server.handler_timeout": "Time of a waiting handler; beyond it 503 or 1011.",
    "server.data_plane": "Who serves open WebSockets: the native epoll set or transports.",
    "server.metrics": "Who may read `/_flin/metrics`.",
    "ws.heartbeat": "Silence after which a peer is pinged.",
    "ws.timeout": "Silence after which a peer is dead.",
    "ws.close": "Time a peer has to answer a close frame.",
    "ws.stall": "Time without write progress after which a peer is closed with 1013.",
    "ws.max_message": "Message, reassembled and inflated; beyond it closed with 1009.",
    "ws.queue_soft": "Queued output above which a peer is not read any more.",
    "ws.queue_hard": "Queued output above which a peer is closed with 1013.",
    "ws.rooms_max": "Rooms of one connection.",
    "ws.allowed_origins": "Other origins whose pages may open sockets with a session cookie.",
    "ws.implicit_rooms": "Endpoints that never join are members of what they broadcast to.",
    "ws.compression": "Accept permessage-deflate.",
    "ws.compression_threshold": "Payload from which a message is compressed.",
    "session.secret": "Key that signs session cookies, 32 bytes or more; generated when empty.",
    "session.previous_secrets": "Older keys whose cookies are still accepted.",
    "session.max_age": "Life of a session.",
    "session.idle": "Life of a session that is not used.",
    "session.secure": "Mark the cookie `Secure`; `auto` does under TLS.",
    "session.same_site": "The cookie's `SameSite`.",
    "session.cookie": "Name of the cookie; `__Host-` is put in front under TLS.",
    "store.path": "Folder of the database, relative to the project.",
    "store.durability": "Whether an acknowledged write survives a power cut (`full`) or a crash.",
    "security.headers": "Send the security headers.",
    "security.hsts": "Send `Strict-Transport-Security` under TLS.",
    "security.cors_origins": "Origins that may call routes from other sites.",
    "security.content_security_policy": "Policy sent with HTML.",
    "log.level": "Least severe line that is written.",
    "log.access": "Write a line per request and per socket.",
    "log.format": "Pretty or JSON lines; `auto` is pretty on a terminal.",
}


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
        meaning = SETTINGS[key.path]
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


def main() -> None:
    """Rewrite every generated page."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
