"""Bearer tokens: HS256 JWTs signed with the program's own key.

Only the algorithm we sign with is accepted, so neither `none` nor a key of another kind can be
slipped in. Expiry is checked against the program's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from flinfast.runtime.secret import Secrets

ALGORITHM = "HS256"
ISSUER = "flin"
PURPOSE = "token"
TOKEN_CHARS_MAX = 8192  # a header line may be longer, a token of ours never is
LEEWAY_S = 5  # clocks of several machines


def sign_token(claims: Mapping[str, Any], secrets: Secrets) -> str:
    """A token with these claims; the caller has set `sub`, `iat`, `exp` and `iss`."""
    import jwt  # with its HTTP client a twelfth of a start, and most programs sign nothing

    return jwt.encode(dict(claims), secrets.keys(PURPOSE)[0], algorithm=ALGORITHM)


def verify_token(token: str, secrets: Secrets, now_s: float) -> dict[str, Any] | None:
    """Claims of a valid token, None for anything else.

    Args:
        token: Compact JWS.
        secrets: Every key is tried.
        now_s: Unix time in seconds.
    """
    if not token or len(token) > TOKEN_CHARS_MAX or not token.isascii():
        return None
    import jwt

    for key in secrets.keys(PURPOSE):
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options={
                    "require": ["exp", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "verify_aud": False,
                },
            )
        except jwt.InvalidTokenError:
            continue
        return dict(claims) if _is_current(claims, now_s) else None
    return None


def _is_current(claims: Mapping[str, Any], now_s: float) -> bool:
    expires, starts = claims.get("exp"), claims.get("nbf", 0)
    if not _is_number(expires) or not _is_number(starts):
        return False
    return bool(starts - LEEWAY_S <= now_s < expires + LEEWAY_S)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def bearer_token(header: str) -> str:
    """The token of an `Authorization: Bearer ...` header, "" without one."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
