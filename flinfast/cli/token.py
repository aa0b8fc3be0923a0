"""`flinfast token`: a bearer token for tests and scripts, signed with the project's key."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, Final

import click

from flinfast.cli.usage import example
from flinfast.errors import ConfigError
from flinfast.server import config as settings

_LIFE: Final = re.compile(r"([1-9][0-9]{0,6})(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LIFE_S_MAX: Final = 10 * 365 * 86_400  # as for `create_token`


@click.command(
    "token",
    epilog=example(
        "flinfast token --as 7",
        "flinfast token --as 7 --role admin --expires 1h",
        'curl -H "Authorization: Bearer $(flinfast token --as 7)" localhost:3000/api/me',
    ),
)
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--as", "user", metavar="USER", required=True, help="Id of the user (`sub`).")
@click.option("--role", metavar="ROLE", help="The claim `role`, which `guard role` reads.")
@click.option(
    "--claim", "claims", metavar="NAME=VALUE", multiple=True, help="A further claim, as text."
)
@click.option(
    "--expires", metavar="TIME", default="24h", show_default=True, help="Life: 30s, 10m, 1h, 7d."
)
def command(path: Path, user: str, role: str | None, claims: tuple[str, ...], expires: str) -> None:
    """Print a bearer token of the project at PATH, as `create_token` makes them.

    It is signed with the project's secret, so the server of this project accepts it. Whoever has
    it is that user until it expires.
    """
    extra = dict(_pair(text) for text in claims)
    if role is not None:
        extra["role"] = role
    life = life_s(expires)
    config, folder = config_of(path)
    click.echo(make_token(config, folder, user, extra, life))


def make_token(
    config: settings.Config, folder: Path, user: str, claims: dict[str, Any], life: int
) -> str:
    """A token that the server of a project accepts.

    Args:
        config: Its settings.
        folder: Its data folder.
        user: The claim `sub`.
        claims: Further claims.
        life: Seconds until it expires.

    Raises:
        ConfigError: The secret cannot be used.
    """
    from flinfast.runtime.secret import load_secrets
    from flinfast.runtime.token import ISSUER, sign_token

    session = config.settings.session
    now_s = int(time.time())
    own = {"sub": user, "iat": now_s, "exp": now_s + life, "iss": ISSUER}
    keys = load_secrets(session.secret, session.previous_secrets, folder)
    return sign_token({**claims, **own}, keys)


def life_s(text: str) -> int:
    """Seconds of `30s`, `10m`, `1h` or `7d`.

    Raises:
        UsageError: It is none of these, or more than ten years.
    """
    found = _LIFE.fullmatch(text.strip())
    seconds = int(found[1]) * _SECONDS[found[2]] if found is not None else 0
    if not 0 < seconds <= LIFE_S_MAX:
        raise click.UsageError(f"expected a time such as 30s, 10m, 1h or 7d, got `{text}`")
    return seconds


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"expected --claim NAME=VALUE, got `{text}`")
    return name, value


def config_of(path: Path) -> tuple[settings.Config, Path]:
    """Settings and data folder of a project.

    Raises:
        ConfigError: There is none, or its settings have faults.
    """
    from flinfast.runtime.project import find_root

    root, _ = find_root(path)
    if not root.is_dir():
        raise ConfigError(f"there is no folder `{root}`", path=str(path))
    config = settings.load(root, environ=os.environ)
    return config, root / config.settings.store.path
