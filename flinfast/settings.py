"""Every setting with its default; frozen, and importable from every layer.

`server/config.py` fills these from flinfast.toml, FLIN_<TABLE>_<KEY> and flags, and knows where
each value came from. Sizes are bytes, times are seconds, unless the name says otherwise.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, field

PUBLIC_FOLDER: Final = "public"  # of every project: everybody can read what is in it


class ServerSettings(Struct, frozen=True):
    """`[server]`: where and how to listen, and HTTP limits.

    `data_plane` says who reads and writes open WebSockets: "reactor" is the native epoll set,
    "adapter" the loop's own transport (always so for TLS), "auto" the reactor where it works.
    `metrics` says who may read `/_flin/metrics`: requests from this machine that no proxy
    forwarded, everybody, or nobody.
    """

    host: str = "127.0.0.1"
    port: int = 3000
    uds: str = ""
    fd: int = -1
    workers: int = 1
    backlog: int = 2048
    root_path: str = ""
    allowed_hosts: tuple[str, ...] = ()
    proxy_headers: bool = False
    forwarded_allow_ips: tuple[str, ...] = ("127.0.0.1", "::1")
    ssl_keyfile: str = ""
    ssl_certfile: str = ""
    head_size_max: int = 16 << 10
    header_count_max: int = 100
    body_size_max: int = 10 << 20
    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    keep_alive_s: float = 75.0
    drain_s: float = 30.0
    handler_timeout_s: float = 30.0
    data_plane: Literal["auto", "reactor", "adapter"] = "auto"
    compression: bool = True
    compression_threshold: int = 1024
    metrics: Literal["local", "public", "off"] = "local"


class WsSettings(Struct, frozen=True):
    """`[ws]`: limits and policy of WebSocket connections."""

    heartbeat_s: float = 15.0
    timeout_s: float = 30.0
    close_s: float = 5.0
    stall_s: float = 10.0
    max_message: int = 1 << 20
    queue_soft: int = 64 << 10
    queue_hard: int = 1 << 20
    queue_total: int = 256 << 20
    rooms_max: int = 1000
    connections_per_session: int = 100
    allowed_origins: tuple[str, ...] = ()
    implicit_rooms: bool = True
    compression: bool = False
    compression_threshold: int = 1024


class SessionSettings(Struct, frozen=True):
    """`[session]`: the cookie and the life of a session."""

    secret: str = ""
    previous_secrets: tuple[str, ...] = ()
    max_age_s: float = 31_536_000.0
    idle_s: float = 2_592_000.0
    secure: Literal["auto", "on", "off"] = "auto"
    same_site: Literal["Lax", "Strict", "None"] = "Lax"
    cookie: str = "flin_session"


class StoreSettings(Struct, frozen=True):
    """`[store]`: where entities live and what an acknowledged write means.

    `database` is a `postgres://` URL, or empty for the embedded database in `path`; `connections`
    is how many a process opens to it at most.
    """

    path: str = ".flindb"
    durability: Literal["full", "normal"] = "full"
    database: str = ""
    connections: int = 16


class SecuritySettings(Struct, frozen=True):
    """`[security]`: response headers and cross-origin rules.

    `private_addresses` says whether `http_get` and its like may reach addresses that are not
    public, such as 127.0.0.1 and 10.0.0.0/8.
    """

    headers: bool = True
    hsts: bool = False
    login_failures: int = 5
    login_window_s: float = 300.0
    login_address_failures: int = 10
    login_address_window_s: float = 60.0
    cors_origins: tuple[str, ...] = ()
    content_security_policy: str = (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
    )
    private_addresses: bool = True


class LogSettings(Struct, frozen=True):
    """`[log]`: what is written to standard error."""

    level: Literal["debug", "info", "warn", "error"] = "info"
    access: bool = True
    format: Literal["auto", "pretty", "json"] = "auto"


class Settings(Struct, frozen=True):
    """All tables; `mode` is `FLIN_ENV`: only "dev" shows source in error pages."""

    mode: Literal["dev", "test", "production"] = "production"
    server: ServerSettings = field(default_factory=ServerSettings)
    ws: WsSettings = field(default_factory=WsSettings)
    session: SessionSettings = field(default_factory=SessionSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    security: SecuritySettings = field(default_factory=SecuritySettings)
    log: LogSettings = field(default_factory=LogSettings)
