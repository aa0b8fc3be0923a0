"""What each setting means, one sentence; the page of settings and `flinfast docs` print them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Key as in flinfast.toml -> sentence; sizes and times as people write them.
SETTING_TEXTS: Final[Mapping[str, str]] = {
    "server.host": "Address to listen on.",
    "server.port": "TCP port; 0 lets the system choose.",
    "server.uds": "Path of a Unix socket to listen on instead.",
    "server.fd": "Inherited, listening file descriptor to use instead; -1 for none.",
    "server.workers": "Processes that serve; 1 for now.",
    "server.backlog": "Connections the kernel may hold before they are accepted.",
    "server.root_path": "Path prefix that a proxy strips, for links.",
    "server.allowed_hosts": (
        "Names that requests may be for, such as `example.com`, `*.example.com`, `[::1]:3000`; "
        "others get 421. Empty: any name."
    ),
    "server.proxy_headers": "Believe `X-Forwarded-For` and `X-Forwarded-Proto` of trusted proxies.",
    "server.forwarded_allow_ips": "Trusted proxies: addresses, networks as `10.0.0.0/8`, or `*`.",
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
    "server.compression": "Compress text that programs answer; stored forms of files are sent.",
    "server.compression_threshold": "Body from which an answer is compressed.",
    "server.metrics": "Who may read `/_flin/metrics`.",
    "ws.heartbeat": "Silence after which a peer is pinged, at the latest.",
    "ws.timeout": "Silence after which a peer that left a ping unanswered is dead.",
    "ws.close": "Time a peer has to answer a close frame.",
    "ws.stall": "Time without write progress after which a peer is closed with 1013.",
    "ws.max_message": "Message, reassembled and inflated; beyond it closed with 1009.",
    "ws.queue_soft": "Queued output above which a peer is not read, and volatile messages pass it.",
    "ws.queue_hard": "Queued output above which a peer is closed with 1013.",
    "ws.queue_total": "Memory of all queued output; beyond it the furthest behind are closed.",
    "ws.rooms_max": "Rooms of one connection.",
    "ws.connections_per_session": "Open sockets and event streams of one session; beyond it 429.",
    "ws.allowed_origins": (
        "Other origins, such as `https://app.example.com` or `capacitor://localhost`, whose pages "
        "may open sockets with a session cookie; `*` for all."
    ),
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
    "store.path": "Folder of the database, relative to the project; not in `public`.",
    "store.database": "`postgres://user:password@host/name`; empty for the embedded database.",
    "store.connections": "Connections of a process to PostgreSQL, at most.",
    "store.durability": "Whether an acknowledged write survives a power cut (`full`) or a crash.",
    "security.headers": "Send the security headers.",
    "security.hsts": "Send `Strict-Transport-Security` under TLS.",
    "security.login_failures": "Wrong passwords per account before 429; 0 allows any number.",
    "security.login_window": "Time over which wrong passwords are counted.",
    "security.login_address_failures": (
        "Wrong passwords from one address, over all accounts, before 429; 0 allows any number."
    ),
    "security.login_address_window": "Time over which wrong passwords of an address are counted.",
    "security.cors_origins": (
        "Origins, such as `https://app.example.com`, that may call routes from other sites; `*` "
        "for all, without cookies."
    ),
    "security.content_security_policy": "Policy sent with HTML.",
    "security.private_addresses": "Whether `http_get` may reach addresses that are not public.",
    "log.level": "Least severe line that is written.",
    "log.access": "Write a line per request and per socket.",
    "log.format": "Pretty or JSON lines; `auto` is pretty on a terminal.",
}
