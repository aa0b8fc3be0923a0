"""Settings: four layers, units, and errors that say what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from flinfast.errors import ConfigError
from flinfast.server import config
from flinfast.server.config import Flag, load
from flinfast.settings import Settings


def project(root: Path, toml: str) -> Path:
    (root / "flinfast.toml").write_text(toml)
    return root


def test_defaults_are_those_of_the_tables(tmp_path: Path) -> None:
    """No file, no variables, no flags."""
    found = load(tmp_path, environ={})
    assert found.settings == Settings()
    assert set(found.origins.values()) == {"default"}


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    """Flag over variable over file over default, with its origin."""
    project(tmp_path, '[server]\nport = 1\nhost = "::1"\nbacklog = 5\n')
    environ = {"FLIN_SERVER_PORT": "2", "FLIN_SERVER_HOST": "0.0.0.0"}
    found = load(tmp_path, environ=environ, flags={"server.port": Flag("--port", 3)})
    server = found.settings.server
    assert (server.port, server.host, server.backlog) == (3, "0.0.0.0", 5)
    assert found.origins["server.port"] == "--port"
    assert found.origins["server.host"] == "FLIN_SERVER_HOST"
    assert found.origins["server.backlog"] == "flinfast.toml"
    assert found.origins["server.uds"] == "default"


def test_every_setting_has_a_variable_and_a_file_key(tmp_path: Path) -> None:
    """The default of each one is accepted back through both."""
    for key in config.all_keys():
        text = key.default
        if isinstance(text, tuple):
            text = ",".join(text)
        elif isinstance(text, bool):
            text = "on" if text else "off"
        found = load(tmp_path, environ={key.variable: str(text)})
        assert found.value_of(key) == key.default, key.path
        assert found.origins[key.path] == key.variable


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", 1000),
        ("1KB", 1024),
        ("1 kb", 1024),
        ("1k", 1024),
        ("1KiB", 1024),
        ("32MB", 32 << 20),
        ("1.5MB", 3 << 19),
        ("1G", 1 << 30),
        ("512 B", 512),
    ],
)
def test_sizes(tmp_path: Path, text: str, size: int) -> None:
    """1 KB is 1024 bytes."""
    found = load(tmp_path, environ={"FLIN_WS_MAX_MESSAGE": text})
    assert found.settings.ws.max_message == size
    project(tmp_path, f'[ws]\nmax_message = "{text}"\n')
    assert load(tmp_path, environ={}).settings.ws.max_message == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20", 20.0),
        ("20s", 20.0),
        ("500ms", 0.5),
        ("2m", 120.0),
        ("1.5 h", 5400.0),
        ("1d", 86400.0),
    ],
)
def test_times(tmp_path: Path, text: str, seconds: float) -> None:
    """Numbers are seconds."""
    found = load(tmp_path, environ={"FLIN_SERVER_DRAIN": text})
    assert found.settings.server.drain_s == seconds


def test_names_with_their_unit_are_the_same_setting(tmp_path: Path) -> None:
    """`heartbeat` and `heartbeat_s`; both at once are a mistake."""
    project(tmp_path, "[ws]\nheartbeat_s = 3\n")
    assert load(tmp_path, environ={}).settings.ws.heartbeat_s == 3.0
    assert load(tmp_path, environ={"FLIN_WS_HEARTBEAT_S": "4"}).settings.ws.heartbeat_s == 4.0
    project(tmp_path, "[ws]\nheartbeat_s = 3\nheartbeat = 4\n")
    with pytest.raises(ConfigError, match="set twice"):
        load(tmp_path, environ={})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True),
        ("ON", True),
        ("true", True),
        ("1", True),
        ("yes", True),
        ("off", False),
        ("False", False),
        ("0", False),
        ("no", False),
    ],
)
def test_switches(tmp_path: Path, text: str, value: bool) -> None:
    """FLIN_LOG_ACCESS=off."""
    assert load(tmp_path, environ={"FLIN_LOG_ACCESS": text}).settings.log.access is value


def test_lists_come_from_commas_or_toml(tmp_path: Path) -> None:
    """Spaces around the parts do not count."""
    environ = {"FLIN_WS_ALLOWED_ORIGINS": "https://a, https://b,"}
    expected = ("https://a", "https://b")
    assert load(tmp_path, environ=environ).settings.ws.allowed_origins == expected
    project(tmp_path, '[ws]\nallowed_origins = ["https://a", "https://b"]\n')
    assert load(tmp_path, environ={}).settings.ws.allowed_origins == expected


def test_choices_ignore_case_and_take_a_bool_for_on_and_off(tmp_path: Path) -> None:
    """`same_site = "lax"`, `secure = true`."""
    project(tmp_path, '[session]\nsame_site = "strict"\nsecure = true\n')
    session = load(tmp_path, environ={}).settings.session
    assert (session.same_site, session.secure) == ("Strict", "on")


@pytest.mark.parametrize(
    ("toml", "message", "hint"),
    [
        ("[sever]\nport = 1\n", "unknown table `sever`", "did you mean `server`?"),
        ("[server]\nprot = 1\n", "unknown setting `server.prot`", "did you mean `server.port`?"),
        ("[server]\nheartbeat = 1\n", "unknown setting", "did you mean `ws.heartbeat`?"),
        ("[server]\nzzzzzz = 1\n", "unknown setting", "config show"),
        ("port = 1\n", "unknown table `port`", "known: `server`"),
        ("server = 1\n", "expected `[server]` to be a table", ""),
        ('[server]\nport = "x"\n', "expected a whole number, got `x`", ""),
        ("[server]\nport = 1.5\n", "expected a whole number", ""),
        ("[server]\nport = true\n", "expected a whole number", ""),
        ("[server]\nport = 65536\n", "a value from 0 to 65535", ""),
        ("[server]\nport = -1\n", "a value from 0 to 65535", ""),
        ("[server]\nhost = 1\n", "expected text", ""),
        ('[server]\nhost = "a\\nb"\n', "expected text without control characters", ""),
        ('[server]\ndrain = "soon"\n', 'a time such as "30s"', ""),
        ("[server]\ndrain = nan\n", 'a time such as "30s"', ""),
        ("[server]\ndrain = inf\n", 'a time such as "30s"', ""),
        ("[server]\ndrain = -1\n", "a value from 0", ""),
        ('[ws]\nmax_message = "1TB"\n', 'a size such as "10MB"', ""),
        ('[ws]\nmax_message = "-1"\n', 'a size such as "10MB"', ""),
        ("[ws]\nmax_message = 1\n", "a value from 256", ""),
        ("[ws]\ncompression = 1\n", "expected on or off", ""),
        ("[ws]\nallowed_origins = 1\n", "expected a list of texts", ""),
        ("[ws]\nallowed_origins = [1]\n", "expected text", ""),
        ('[store]\ndurability = "fast"\n', "one of full, normal", ""),
        ("[ws]\nheartbeat = 30\n", "expected more than the heartbeat", "dead after"),
        ("[ws]\nqueue_hard = 1000\n", "expected at least `ws.queue_soft`", ""),
        ("[ws]\nqueue_total = 1000000\n", "expected at least `ws.queue_hard`", ""),
        ('[server]\nssl_keyfile = "k"\n', "expected a key and a certificate", "set both"),
        ('[server]\nuds = "x"\nfd = 3\n', "expected `uds` or `fd`", ""),
        ('[server]\nroot_path = "x/"\n', "expected a path such as /chat", ""),
        ("[server]\nport = true\n", "got `true`", ""),
        ("[server]\nhead_size_max = 1\n", "a value from 512 to 1MB", ""),
        ("[server]\nbody_size_max = -1\n", "a value from 0 to 16GB", ""),
        ("[server]\nhead_timeout = 0\n", "a value from 50ms to 1d", ""),
        ("[session]\nidle = 1\n", "a value from 1m to 3660d", ""),
        ("[ws]\nrooms_max = 0\n", "a value from 1 to 1000000", ""),
        ('[ws]\nqueue_soft = "9MB"\n', "`ws.queue_soft` (9437184 bytes), got 1048576", ""),
        ('[server]\nhost = ""\n', "expected an address, got an empty text", "0.0.0.0"),
        ('[server]\nforwarded_allow_ips = "proxy"\n', "such as 10.0.0.1 or a network", ""),
        ('[server]\nforwarded_allow_ips = "10.0.0.0/33"\n', "got `10.0.0.0/33`", ""),
        ('[server]\nforwarded_allow_ips = "10.0.0.1/8"\n', "got `10.0.0.1/8`", "own bits"),
        ('[session]\ncookie = ""\n', "expected a cookie's name", "letters, digits"),
        ('[session]\ncookie = "a b"\n', "expected a cookie's name", ""),
        ('[session]\ncookie = "a;b"\n', "expected a cookie's name", ""),
        ('[session]\ncookie = "a=b"\n', "expected a cookie's name", ""),
        ('[session]\ncookie = "é"\n', "expected a cookie's name", ""),
        (f'[session]\ncookie = "{"a" * 101}"\n', "expected a cookie's name", "at most 100"),
        ('[session]\ncookie = "__Host-a"\n', "expected a name without prefix", "under TLS"),
        ('[session]\ncookie = "__secure-a"\n', "expected a name without prefix", ""),
        ('[ws]\nallowed_origins = "app.example"\n', "expected an origin such as", "scheme"),
        ('[ws]\nallowed_origins = "https://a.example/x"\n', "expected an origin", "no path"),
        ('[ws]\nallowed_origins = "null"\n', "got `null`", ""),
        ('[ws]\nallowed_origins = "https://*.a.example"\n', "expected an origin", "list each"),
        ('[ws]\nallowed_origins = "https://bücher.example"\n', "expected an origin", "xn--"),
        ('[security]\ncors_origins = "https://a b"\n', "expected an origin", "no path"),
        ('[security]\ncors_origins = "https://a.example/"\n', "got `https://a.example/`", ""),
        ('[store]\npath = ""\n', "expected a folder of its own", "among the sources"),
        ('[store]\npath = "."\n', "expected a folder of its own", ""),
        ('[store]\npath = "public"\n', "expected a folder outside `public`", "read the database"),
        ('[store]\npath = "app/../public/data"\n', "outside `public`", ""),
        ("[server\n", "not valid TOML", ""),
        ("[server]\nport = 1\nport = 2\n", "not valid TOML", ""),
    ],
)
def test_mistakes_are_named(tmp_path: Path, toml: str, message: str, hint: str) -> None:
    """What was expected, what came, what was meant."""
    project(tmp_path, toml)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, environ={})
    assert message in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "toml",
    [
        '[server]\nforwarded_allow_ips = ["*", "10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]\n',
        '[ws]\nallowed_origins = ["*", "https://a.example", "http://[::1]:8080"]\n',
        '[security]\ncors_origins = "https://A.example:443"\n',
        '[security]\ncors_origins = ["capacitor://localhost", "chrome-extension://abc"]\n',
        '[ws]\nallowed_origins = "app://localhost"\n',
        '[server]\nhost = ""\nuds = "a.sock"\n',
        '[server]\nhost = ""\nfd = 3\n',
        '[session]\ncookie = "my-app_1.id"\n',
        '[store]\npath = "../data"\n',
        '[store]\npath = "publicity"\n',
    ],
)
def test_values_that_fit_are_taken(tmp_path: Path, toml: str) -> None:
    """The rules over texts refuse no usable one."""
    (name,) = {key.path for key in config.all_keys()} & {
        f"{toml.partition(']')[0][1:]}.{toml.split()[1]}"
    }
    assert load(project(tmp_path, toml), environ={}).origins[name] == "flinfast.toml"


def test_unknown_variables_are_mistakes(tmp_path: Path) -> None:
    """Only names that start with FLIN_ are ours."""
    assert load(tmp_path, environ={"PORT": "1", "FLINFAST_DEBUG": "1"}).settings == Settings()
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, environ={"FLIN_SEVER_PORT": "1"})
    assert caught.value.hint == "did you mean `FLIN_SERVER_PORT`?"


def test_the_place_of_a_bad_value_is_named(tmp_path: Path) -> None:
    """Setting and layer."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, environ={"FLIN_SERVER_PORT": "x"})
    assert caught.value.path == "server.port (FLIN_SERVER_PORT)"
    project(tmp_path, "[ws]\nheartbeat = 0\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, environ={})
    assert caught.value.path == "ws.heartbeat (flinfast.toml)"
    project(tmp_path, "[ws]\nheartbeat = 40\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, environ={"FLIN_WS_TIMEOUT": "35"})
    assert caught.value.path == "ws.timeout (FLIN_WS_TIMEOUT)"


def test_a_bad_secret_is_not_printed(tmp_path: Path) -> None:
    """Errors end up in logs."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, environ={"FLIN_SESSION_SECRET": "top\nsecret"})
    assert "top" not in str(caught.value)


def test_mode_comes_from_the_environment(tmp_path: Path) -> None:
    """FLIN_ENV."""
    assert load(tmp_path, environ={}).settings.mode == "production"
    assert load(tmp_path, environ={}, default_mode="dev").settings.mode == "dev"
    assert load(tmp_path, environ={"FLIN_ENV": "test"}).settings.mode == "test"
    with pytest.raises(ConfigError, match="unknown mode"):
        load(tmp_path, environ={"FLIN_ENV": "prod"})


def test_a_foreign_configuration_is_reported_not_read(tmp_path: Path) -> None:
    """flin.config is the reference implementation's."""
    (tmp_path / "flin.config").write_text("server = { port: 1 }")
    found = load(tmp_path, environ={})
    assert found.settings == Settings()
    assert "flin.config" in found.notes[0]


def test_an_enormous_file_is_refused(tmp_path: Path) -> None:
    """A wrong path must not fill the memory."""
    project(tmp_path, "#" * (config.CONFIG_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="at most"):
        load(tmp_path, environ={})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder in its place, for example."""
    (tmp_path / "flinfast.toml").mkdir()
    with pytest.raises(ConfigError, match=r"cannot read flinfast\.toml"):
        load(tmp_path, environ={})
