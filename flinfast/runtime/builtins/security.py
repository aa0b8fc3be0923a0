"""Security builtins (FLIN reference 13.8): passwords, tokens, hashes, randomness."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac as hmac_module
import secrets
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from flinfast.errors import RuntimeFault
from flinfast.late_pattern import late_pattern
from flinfast.runtime.builtins.number import UNITS_MS
from flinfast.runtime.encode import decode_json, encode_json, to_text
from flinfast.runtime.kinds import argument_fault, as_map, range_fault
from flinfast.runtime.rate_limit import client_of, is_local
from flinfast.runtime.registry import Map, Value, builtin
from flinfast.runtime.response import Stop
from flinfast.runtime.services import Services
from flinfast.runtime.token import ISSUER, TOKEN_CHARS_MAX, sign_token, verify_token
from flinfast.values import Time

if TYPE_CHECKING:
    from argon2 import PasswordHasher

# Argon2id: 64 MiB, 3 passes, 4 lanes; about 0.15 s of one core. RFC 9106 section 4, second choice.
ARGON2_MEMORY_KIB: Final = 65_536
ARGON2_PASSES: Final = 3
ARGON2_LANES: Final = 4
# A stored hash that asks for more is refused: verifying it would take the machine down.
VERIFY_MEMORY_KIB_MAX: Final = 1 << 20
VERIFY_PASSES_MAX: Final = 16
VERIFY_LANES_MAX: Final = 16
PASSWORD_BYTES_MAX: Final = 4096
HASH_CHARS_MAX: Final = 512
LOGIN_CHARS_MAX: Final = 1024  # of a login that tell accounts apart where guesses are counted

TOKEN_LIFE_MS: Final = 86_400_000
TOKEN_LIFE_MS_MAX: Final = 10 * UNITS_MS["year"]
KEY_BYTES_MIN: Final = 32  # RFC 7518 section 3.2: an HS256 key is at least as long as its hash
RANDOM_BYTES_MAX: Final = 4096
CSRF_BYTES: Final = 32
_OWN_CLAIMS: Final = ("email", "name", "role")
_UNITS: Final = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "y": "year",
    **{f"{unit}{s}": unit for unit in UNITS_MS for s in ("", "s")},
}
_LIFE: Final = late_pattern(r"([0-9]{1,9})\s*([a-z]+)\Z")
_JWT_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
_HASHES: Final = ("sha256", "sha384", "sha512", "sha1", "md5")

# --- passwords ----------------------------------------


@builtin("argon2_hash", "bcrypt_hash", waits=True)
def hash_password(services: Services, password: str) -> str:
    """Hash a password with Argon2id; the text holds its parameters and salt."""
    raw = _password_bytes(password)
    if raw is None:
        raise range_fault(
            "hash_password", 1, f"text of at most {PASSWORD_BYTES_MAX} bytes", "a longer one"
        )
    return services.waiter.compute(lambda: _hasher().hash(raw))


@builtin("argon2_verify", "bcrypt_verify", waits=True)
def verify_password(
    services: Services, context: Any, password: Value, hashed: Value, login: Value = None
) -> bool:
    """Tell whether `password` was hashed; wrong ones count for `login`, whether it exists or not.

    Without a hash it is false at the same cost. `login` is the text that the account was looked up
    by; without it, wrong passwords are counted per hash, so only for accounts that exist.
    """
    raw = _password_bytes(password) if type(password) is str else None
    if raw is None:
        return False
    if type(hashed) is not str or not _is_affordable(hashed):
        # As long as for an account that exists: the time must not tell which ones do.
        _Guesses(services, context, _account_key("", login))
        services.waiter.compute(lambda: _verify(_hash_of_nobody(), raw))
        return False
    guesses = _Guesses(services, context, _account_key(hashed, login))
    is_right = services.waiter.compute(lambda: _verify(hashed, raw))
    if is_right:
        guesses.forgive()
    return is_right


class _Guesses:
    """One password that is checked, counted against the account and the client's address.

    Both before the check, so that guesses made at once count too.

    Args:
        services: Has the limits and the counts.
        context: Of the handler; None where there is no client.
        account: What the account is counted by, "" for none.

    Raises:
        Stop: It is one too many.
    """

    def __init__(self, services: Services, context: Any, account: str) -> None:
        limits = services.settings.security
        self._limiter = services.limiter
        self._account = self._client = ""
        address = _address_of(context)
        if limits.login_address_failures and not is_local(address):
            key = f"verify_password from\0{client_of(address)}"
            self._count(
                services, key, limits.login_address_failures, limits.login_address_window_s, address
            )
            self._client = key
        if limits.login_failures and account:
            count, window_s = limits.login_failures, limits.login_window_s
            try:
                self._count(services, account, count, window_s, address)
            except Stop:
                self._limiter.give_back(self._client)  # nothing was checked
                raise
            self._account = account

    @staticmethod
    def _count(services: Services, key: str, limit: int, window_s: float, address: str) -> None:
        from flinfast.runtime.guard import limited  # not at the top: it needs the compiled hub

        reply = limited(services.limiter, key, limit, window_s, services.clock_ms())
        if reply is not None:
            services.log("warn", "too many wrong passwords, answered 429", {"ip": address}, "")
            raise Stop(reply)

    def forgive(self) -> None:
        """It was right: it does not count, and nor do earlier ones against the account.

        Those of the address stay: who has one account must not get guesses at others for it.
        """
        self._limiter.give_back(self._client)
        self._limiter.forget(self._account)


def _account_key(hashed: str, login: Value) -> str:
    """What wrong passwords of an account are counted by, "" for nothing.

    With a login it is that alone, for known and unknown accounts alike: whether one is refused must
    not tell whether it exists. Spellings that a database may take for equal are one.
    """
    if login is None:
        return f"verify_password\0{hashed}" if hashed else ""
    text = unicodedata.normalize("NFKC", to_text(login)[:LOGIN_CHARS_MAX]).casefold().strip()
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"verify_password of\0{digest}"  # of one length, whatever a client sends


def _address_of(context: Any) -> str:
    """Address of a handler's client, "" without one."""
    raw = getattr(context, "raw", None)
    return getattr(context, "ip", "") if raw is None else raw.peer


@lru_cache(maxsize=1)
def _hash_of_nobody() -> str:
    """A hash that no password is known for, with the parameters of new ones."""
    return _hasher().hash(secrets.token_bytes(32))


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(
        time_cost=ARGON2_PASSES, memory_cost=ARGON2_MEMORY_KIB, parallelism=ARGON2_LANES
    )


def _verify(hashed: str, password: bytes) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return _hasher().verify(hashed, password)
    except (Argon2Error, InvalidHashError, UnicodeError):
        return False


def _is_affordable(hashed: str) -> bool:
    """Whether `hashed` is an Argon2 hash whose parameters stay within the limits."""
    from argon2 import extract_parameters
    from argon2.exceptions import InvalidHashError

    if len(hashed) > HASH_CHARS_MAX or not hashed.isascii():
        return False
    try:
        found = extract_parameters(hashed)
    except (InvalidHashError, ValueError):
        return False
    return (
        0 < found.memory_cost <= VERIFY_MEMORY_KIB_MAX
        and 0 < found.time_cost <= VERIFY_PASSES_MAX
        and 0 < found.parallelism <= VERIFY_LANES_MAX
    )


def _password_bytes(password: str) -> bytes | None:
    raw = password.encode("utf-8", "surrogatepass")
    return raw if len(raw) <= PASSWORD_BYTES_MAX else None


# --- tokens ----------------------------------------


@builtin()
def create_token(services: Services, user: Map, options: Map | None = None) -> str:
    """Make a signed token for a user; options `expires` ("7d" or a duration) and `claims`."""
    given = options or {}
    extra = given.get("claims")
    claims_map = {} if extra is None else as_map(extra)
    if claims_map is None:
        raise argument_fault("create_token", 2, "`claims` as a map", extra)
    if user.get("id") is None:
        raise range_fault("create_token", 1, "a user with an id", "one without")
    life_ms = _life_ms("create_token", given.get("expires"))
    now_s = services.clock_ms() // 1000
    claims: dict[str, Any] = {
        "sub": to_text(user["id"]),
        **{name: user[name] for name in _OWN_CLAIMS if user.get(name) is not None},
        **claims_map,
        "iat": now_s,
        "exp": now_s + life_ms // 1000,
        "iss": ISSUER,
    }
    return _signed(services, claims)


@builtin(name="verify_token", result="map?")
def verify_token_(services: Services, token: Value) -> Value:
    """Give the claims of a token made by `create_token`; none when it is not valid."""
    if type(token) is not str:
        return None
    return verify_token(token, services.secrets, services.clock_ms() / 1000)


@builtin(result="text?")
def refresh_token(services: Services, token: Value) -> Value:
    """Make a new token with the claims and the life of a valid one; none when it is not valid."""
    claims = verify_token_(services, token)
    if claims is None:
        return None
    now_s = services.clock_ms() // 1000
    issued = claims.get("iat")
    life_s = claims["exp"] - issued if type(issued) is int else TOKEN_LIFE_MS // 1000
    return _signed(services, {**claims, "iat": now_s, "exp": now_s + max(1, int(life_s))})


@builtin()
def jwt_encode(claims: Map, key: str, algorithm: str = "HS256") -> str:
    """Sign claims as a JWT with a key of your own, of at least 32 bytes."""
    import jwt

    raw = _jwt_key("jwt_encode", key, algorithm)
    plain = {name: _claim(value) for name, value in claims.items()}
    try:
        return jwt.encode(plain, raw, algorithm=algorithm)
    except (jwt.PyJWTError, TypeError, ValueError):
        raise range_fault("jwt_encode", 1, "claims as RFC 7519 defines them", "others") from None


@builtin(result="map?")
def jwt_decode(services: Services, token: Value, key: str, algorithm: str = "HS256") -> Value:
    """Give the claims of a JWT signed with `key`; none when it is not valid or has expired."""
    import jwt

    raw = _jwt_key("jwt_decode", key, algorithm)
    if type(token) is not str or len(token) > TOKEN_CHARS_MAX or not token.isascii():
        return None
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
    try:
        claims = jwt.decode(token, raw, algorithms=[algorithm], options=options)  # type: ignore[arg-type]
    except (jwt.PyJWTError, ValueError):
        return None
    now_s = services.clock_ms() / 1000
    starts, ends = claims.get("nbf", now_s), claims.get("exp", now_s + 1)
    is_current = all(type(moment) in (int, float) for moment in (starts, ends))
    return claims if is_current and starts <= now_s < ends else None


def _signed(services: Services, claims: dict[str, Any]) -> str:
    plain = decode_json(encode_json(claims))
    token = sign_token(plain, services.secrets)
    if len(token) > TOKEN_CHARS_MAX:
        raise RuntimeFault(
            f"`create_token`: expected a token of at most {TOKEN_CHARS_MAX} characters",
            code="FL508",
            hint="keep the claims small",
        )
    return token


def _claim(value: Value) -> Any:
    """A claim as plain JSON data; a time is a NumericDate."""
    return value.ms // 1000 if type(value) is Time else decode_json(encode_json(value))


def _jwt_key(function: str, key: str, algorithm: str) -> bytes:
    if algorithm not in _JWT_ALGORITHMS:
        expected = f"one of {', '.join(_JWT_ALGORITHMS)}"
        raise range_fault(function, 3, expected, f'"{algorithm[:20]}"')
    raw = key.encode("utf-8", "replace")
    bytes_min = max(KEY_BYTES_MIN, int(algorithm[2:]) // 8)
    if len(raw) < bytes_min:
        raise range_fault(function, 2, f"a key of at least {bytes_min} bytes", f"{len(raw)} bytes")
    return raw


def _life_ms(function: str, value: Value) -> int:
    """Milliseconds of "7d", "12 hours", or a duration."""
    if value is None:
        return TOKEN_LIFE_MS
    life = value
    if type(value) is str:
        found = _LIFE.match(value.strip().lower())
        unit = None if found is None else _UNITS.get(found[2])
        life = int(found[1]) * UNITS_MS[unit] if found is not None and unit is not None else None
    if type(life) is not int or not 1000 <= life <= TOKEN_LIFE_MS_MAX:
        raise range_fault(
            function, 2, '`expires` such as "7d" or a duration, up to 10 years', to_text(value)[:40]
        )
    return life


# --- comparison and randomness ----------------------------------------


@builtin()
def csrf_token(context: Any) -> str:
    """Give the session's token for forms, which `guard csrf` expects back."""
    of_session = getattr(getattr(context, "session", None), "csrf_token", None)
    return secrets.token_urlsafe(CSRF_BYTES) if of_session is None else of_session()


@builtin("constant_time_equal")
def csrf_verify(token: Value, expected: Value) -> bool:
    """Tell whether two tokens are equal, in constant time; false unless both are text."""
    if type(token) is not str or type(expected) is not str or not expected:
        return False
    left, right = (text.encode("utf-8", "surrogatepass") for text in (token, expected))
    return hmac_module.compare_digest(left, right)


@builtin()
def secure_random(size: int = 32) -> str:
    """Give `size` random bytes as hexadecimal text, fit for secrets."""
    if not 1 <= size <= RANDOM_BYTES_MAX:
        raise range_fault("secure_random", 1, f"1 to {RANDOM_BYTES_MAX}", size)
    return secrets.token_hex(size)


# --- hashes and encodings ----------------------------------------


@builtin()
def sha256(data: Value) -> str:
    """Give the SHA-256 of a text or bytes as hexadecimal text."""
    return hashlib.sha256(_octets("sha256", 1, data)).hexdigest()


@builtin()
def sha512(data: Value) -> str:
    """Give the SHA-512 of a text or bytes as hexadecimal text."""
    return hashlib.sha512(_octets("sha512", 1, data)).hexdigest()


@builtin()
def md5(data: Value) -> str:
    """Give the MD5 of a text or bytes as hexadecimal text; not fit for secrets."""
    return hashlib.md5(_octets("md5", 1, data), usedforsecurity=False).hexdigest()


@builtin()
def hmac(data: Value, key: Value, algorithm: str = "sha256") -> str:
    """Give the HMAC of a text or bytes under `key` as hexadecimal text."""
    if algorithm not in _HASHES:
        raise range_fault("hmac", 3, f"one of {', '.join(_HASHES)}", f'"{algorithm[:20]}"')
    octets = _octets("hmac", 1, data)
    return hmac_module.new(_octets("hmac", 2, key), octets, algorithm).hexdigest()


@builtin()
def base64_encode(data: Value) -> str:
    """Write a text or bytes as base64."""
    return base64.b64encode(_octets("base64_encode", 1, data)).decode()


@builtin()
def base64_decode(text: str) -> Value:
    """Read base64 (URL-safe too): text when it is UTF-8, else bytes; none when it is no base64."""
    raw = _from_base64(text)
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


@builtin(result="bytes?")
def base64_decode_bytes(text: str) -> Value:
    """Read base64 (URL-safe too) as bytes; none when it is no base64."""
    return _from_base64(text)


def _from_base64(text: str) -> bytes | None:
    plain = text.strip().replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _octets(function: str, position: int, value: Value) -> bytes:
    if type(value) is bytes:
        return value
    if type(value) is str:
        return value.encode("utf-8", "replace")
    raise argument_fault(function, position, "text or bytes", value)
