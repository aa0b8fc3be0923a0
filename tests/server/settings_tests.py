"""Which test shows the effect of each setting, and how each flag is typed.

test_limits_table.py checks that the lists are complete.
"""

from __future__ import annotations

HTTP = "tests/server/test_http_protocol.py"
SERVER = "tests/server/test_server.py"
OWN = "tests/server/test_settings.py"
ATTACKS = "tests/e2e/test_ws_attacks.py"

SETTING_TESTS = {
    "server.host": f"{OWN}::test_port_and_host",
    "server.port": f"{OWN}::test_port_and_host",
    "server.uds": f"{SERVER}::test_unix_socket",
    "server.fd": f"{SERVER}::test_an_inherited_socket_is_served",
    "server.workers": f"{OWN}::test_workers_of_one_are_one_process",
    "server.backlog": f"{OWN}::test_backlog",
    "server.root_path": f"{HTTP}::test_root_path_is_taken_off",
    "server.allowed_hosts": (
        "tests/server/test_allowed_hosts.py::test_request_for_another_name_is_refused"
    ),
    "server.proxy_headers": f"{HTTP}::test_proxy_fields_are_read_from_their_end",
    "server.forwarded_allow_ips": f"{HTTP}::test_proxy_fields_of_a_stranger_are_ignored",
    "server.ssl_keyfile": f"{SERVER}::test_tls",
    "server.ssl_certfile": f"{SERVER}::test_tls",
    "server.head_size_max": f"{HTTP}::test_head_size_limit_at_one_below_and_above",
    "server.header_count_max": f"{HTTP}::test_header_count_limit_at_one_below_and_above",
    "server.body_size_max": f"{HTTP}::test_body_size_limit_at_one_below_and_above",
    "server.head_timeout": f"{HTTP}::test_half_a_head_gets_408",
    "server.body_timeout": f"{HTTP}::test_a_body_that_stops_gets_408",
    "server.keep_alive": f"{HTTP}::test_idle_keep_alive_ends_silently",
    "server.drain": f"{SERVER}::test_drain_ends_at_its_deadline",
    "server.handler_timeout": f"{HTTP}::test_a_handler_that_never_answers_gets_503",
    "server.data_plane": "tests/server/test_upgrade.py::test_adapter_keeps_the_transport",
    "server.compression": "tests/server/test_compress.py::test_compression_can_be_switched_off",
    "server.compression_threshold": "tests/server/test_compress.py::test_threshold_is_a_setting",
    "server.metrics": f"{SERVER}::test_metrics_are_for_this_machine_unless_set",
    "ws.heartbeat": "tests/server/test_events.py::test_streams_beat",
    "ws.timeout": "tests/e2e/test_seed.py::test_killed_client_leaves_its_rooms",
    "ws.close": f"{ATTACKS}::test_peer_that_never_answers_our_close_is_aborted",
    "ws.stall": f"{OWN}::test_stall",
    "ws.max_message": "tests/e2e/test_bad_input.py::test_oversized_message_closes_1009",
    "ws.queue_soft": "tests/server/test_events.py::test_a_stream_that_is_not_read_is_ended",
    "ws.queue_hard": "tests/server/test_events.py::test_a_stream_that_is_not_read_is_ended",
    "ws.queue_total": f"{OWN}::test_queue_total",
    "ws.rooms_max": f"{OWN}::test_rooms_max",
    "ws.connections_per_session": (
        "tests/server/test_sessions.py::test_connections_of_a_session_are_limited"
    ),
    "ws.allowed_origins": f"{OWN}::test_allowed_origins",
    "ws.implicit_rooms": f"{OWN}::test_implicit_rooms",
    "ws.compression": "tests/server/test_upgrade.py::test_compression_is_negotiated_only_when_set",
    "ws.compression_threshold": f"{OWN}::test_ws_compression_threshold",
    "session.secret": f"{OWN}::test_secret_and_previous_secrets",
    "session.previous_secrets": f"{OWN}::test_secret_and_previous_secrets",
    "session.max_age": "tests/server/test_sessions.py::test_an_expired_session_loses_its_sockets",
    "session.idle": "tests/server/test_sessions.py::test_a_socket_that_is_used_keeps_its_session",
    "session.secure": f"{OWN}::test_cookie_settings",
    "session.same_site": f"{OWN}::test_cookie_settings",
    "session.cookie": f"{OWN}::test_cookie_settings",
    "store.path": f"{OWN}::test_store_path_and_durability",
    "store.durability": f"{OWN}::test_store_path_and_durability",
    "store.database": "tests/store/test_postgres_app.py::test_a_request_reads_and_writes",
    "store.connections": "tests/store/test_postgres_app.py::test_lost_connections_are_replaced",
    "security.headers": f"{OWN}::test_security_fields_can_be_switched_off",
    "security.hsts": f"{SERVER}::test_tls",
    "security.login_failures": "tests/runtime/test_login_limit.py::test_limit_at_its_value",
    "security.login_window": (
        "tests/runtime/test_login_limit.py::test_guesses_are_counted_per_account"
    ),
    "security.login_address_failures": (
        "tests/runtime/test_login_limit.py::test_limit_of_an_address_at_its_value"
    ),
    "security.login_address_window": (
        "tests/runtime/test_login_limit.py::test_guesses_are_counted_per_address"
    ),
    "security.cors_origins": f"{HTTP}::test_cross_origin_fields_for_listed_origins",
    "security.content_security_policy": f"{OWN}::test_content_security_policy",
    "security.private_addresses": (
        "tests/runtime/test_builtins_http.py::test_private_addresses_can_be_refused"
    ),
    "log.level": f"{OWN}::test_log_level",
    "log.access": f"{SERVER}::test_each_answer_has_an_access_line",
    "log.format": f"{SERVER}::test_each_answer_has_an_access_line",
}

# Option of `flinfast serve` -> what is typed, and the value that its setting gets.
FLAGS_TYPED: dict[str, tuple[list[str], object]] = {
    "host": (["--host", "0.0.0.0"], "0.0.0.0"),
    "port": (["--port", "8000"], 8000),
    "uds": (["--uds", "/run/x.sock"], "/run/x.sock"),
    "fd": (["--fd", "7"], 7),
    "workers": (["--workers", "1"], 1),
    "ssl_keyfile": (["--ssl-keyfile", "k", "--ssl-certfile", "c"], "k"),
    "ssl_certfile": (["--ssl-keyfile", "k", "--ssl-certfile", "c"], "c"),
    "proxy_headers": (["--proxy-headers"], True),
    "forwarded_allow_ips": (["--forwarded-allow-ips", "10.0.0.0/8,::1"], ("10.0.0.0/8", "::1")),
    "root_path": (["--root-path", "/chat"], "/chat"),
    "log_level": (["--log-level", "warn"], "warn"),
    "access_log": (["--no-access-log"], False),
}
