"""Sessions: an id in a signed cookie, the data on the server.

`SessionManager` owns every session of a program: the cookie, the cache, expiry, and which open
connections belong to which session. What handlers see is in `session_view.py`.

A session's data is never changed in place but replaced, so connections share it for free; it is
packed, as in the table (`session_value.py`). What counts as use is a request or an upgrade with the
session's cookie; messages do not.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from flinfast.runtime.cookie import format_cookie
from flinfast.runtime.rights import RightsWatch
from flinfast.runtime.session_value import (
    EntityRef,
    SessionChange,
    SessionState,
    kept_values,
    pack_row,
    unpack_row,
)
from flinfast.runtime.session_view import Session
from flinfast.settings import SessionSettings

if TYPE_CHECKING:
    from flinfast.runtime.context import WsContext
    from flinfast.runtime.secret import Secrets

CACHE_MAX = 50_000  # sessions kept in memory beyond those with open connections
CHECKS_MAX = 1000  # sessions looked up in one sweep, when other processes may end them
# Sweeps, a second apart, in which every session with connections is looked at once some are due;
# up to CHECKS_MAX of them are looked at in one.
PASS_SWEEPS = 15
# Cookies whose signature is not computed again: 160 bytes each, for 3 us.
VERIFIED_MAX = 2000
TOUCH_MS_MAX = 3_600_000  # a session's last use is stored at most this late
CLOSE_CODE = 4401  # private use (RFC 6455 section 7.4.2): the session has ended
CLOSE_REASON = "session ended"

_ID_CHARS = 24  # ID_BYTES in base64
_NEVER = 1 << 62


class SessionTable(Protocol):
    """Where sessions outlive the process; the store has one."""

    def get(self, id: str) -> bytes | None:
        """Data of a session that has not expired."""

    def put(self, id: str, data: bytes, expires_ms: int) -> None:
        """Insert or replace."""

    def delete(self, id: str) -> None:
        """Remove; no error when absent."""

    def purge(self, now_ms: int) -> None:
        """Remove what has expired."""


class SessionManager:
    """Every session of one program.

    Args:
        table: Where sessions are persisted.
        settings: `[session]`.
        keys: Keys that sign cookies.
        clock_ms: Unix time in milliseconds.
        find_record: Reads a record by entity and id, None when it is gone.
        drop: Closes a connection at once with a code and a reason.
        is_shared: Whether other processes change the same table; then the cache is not trusted.

    Attributes:
        table: See above; replaced when the database is opened again.
        load_record: `find_record`.
        record_changed: To be told of records that are written again or deleted.
    """

    def __init__(
        self,
        *,
        table: SessionTable,
        settings: SessionSettings,
        keys: Secrets,
        clock_ms: Callable[[], int],
        find_record: Callable[[str, int], Any],
        drop: Callable[[WsContext, int, str], None],
        is_shared: bool = False,
    ) -> None:
        self.table = table
        self._settings = settings
        self._keys = keys.keys("session")
        self._clock_ms = clock_ms
        self.load_record = find_record
        self._drop = drop
        self._is_shared = is_shared
        self._cache: OrderedDict[str, SessionState] = OrderedDict()
        self._connected: dict[str, SessionState] = {}  # sessions with open connections
        self._due_ms = _NEVER  # no session with connections expires before
        self._due: list[SessionState] = []  # left to be looked at, since that time has come
        self._touched: dict[str, SessionState] = {}
        self._unchecked: list[SessionState] = []
        self._verified: dict[str, str] = {}  # cookies whose signature was right, to their ids
        self._purge_ms = 0
        self._rights = RightsWatch()
        self._rights_seen = 0  # the last change of which a sweep has closed connections
        self.record_changed = self._rights.note  # for the store

    # --- cookies ----------------------------------------

    def cookie_name(self, *, is_secure: bool) -> str:
        """Name of the cookie; `__Host-` binds it to this host where TLS allows that."""
        return f"__Host-{self._settings.cookie}" if is_secure else self._settings.cookie

    def is_secure(self, scheme: str) -> bool:
        """Whether the cookie of a request with this scheme is Secure."""
        return self._settings.secure == "on" or (
            self._settings.secure == "auto" and scheme == "https"
        )

    def cookie_of(self, id: str, *, is_secure: bool) -> str:
        """A Set-Cookie value for a session id; "" makes the browser forget the cookie."""
        return format_cookie(
            self.cookie_name(is_secure=is_secure),
            f"{id}.{self._sign(id, self._keys[0])}" if id else "",
            max_age_s=int(self._settings.max_age_s) if id else 0,
            secure=is_secure,
            same_site=self._settings.same_site,
        )

    def verify(self, cookie: str) -> str:
        """The session id that a cookie carries, "" when its signature is not ours."""
        known = self._verified.get(cookie)
        if known is not None:
            return known
        id, _, given = cookie.partition(".")
        if len(id) != _ID_CHARS or not cookie.isascii():
            return ""
        raw = given.encode()
        valid = False
        for key in self._keys:  # every key is tried, so the time says nothing
            valid |= hmac.compare_digest(self._sign(id, key).encode(), raw)
        if not valid:
            return ""
        if len(self._verified) >= VERIFIED_MAX:
            self._verified.clear()
        self._verified[cookie] = id
        return id

    def _sign(self, id: str, key: bytes) -> str:
        mac = hmac.digest(key, id.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

    # --- requests ----------------------------------------

    def open(self, cookies: Mapping[str, str], scheme: str) -> Session:
        """The session of a request; without a valid cookie an empty one."""
        is_secure = self.is_secure(scheme)
        cookie = cookies.get(self.cookie_name(is_secure=is_secure))
        id = self.verify(cookie) if cookie else ""
        state = self._find(id) if id else None
        return Session(self, state, is_secure=is_secure)

    def has_cookie(self, cookies: Mapping[str, str]) -> bool:
        """Whether a request carries a session cookie, valid or not."""
        return self._settings.cookie in cookies or f"__Host-{self._settings.cookie}" in cookies

    def _find(self, id: str) -> SessionState | None:
        now = self._clock_ms()
        state = self._connected.get(id) or self._cache.get(id)
        if state is None or (self._is_shared and not state.pending):
            state = self._read(id, state)
        if state is None:
            return None
        if self._has_expired(state, now):
            self._end(state)
            return None
        state.seen_ms = max(state.seen_ms, now)
        if now - state.stored_ms > min(TOUCH_MS_MAX, self._settings.idle_s * 100):
            self._touched[id] = state
        if id in self._cache:
            self._cache.move_to_end(id)
        return state

    def _read(self, id: str, known: SessionState | None) -> SessionState | None:
        """Read a session from the table into the cache, or into the state that is known."""
        raw = self.table.get(id)
        try:
            packed, created_ms, seen_ms = unpack_row(raw or b"")
        except ValueError:  # none there, or not ours: the cookie is worth nothing
            if known is not None:
                self._end(known)
            return None
        self._note_user(packed)
        if known is None:
            known = SessionState(id, packed, created_ms, seen_ms)
            self._remember(known)
        else:
            known.packed = packed
        return known

    def expires_ms(self, state: SessionState) -> int:
        """Unix time in ms at which a session ends: absolute or idle, whichever is first."""
        absolute = state.created_ms + int(self._settings.max_age_s * 1000)
        return min(absolute, state.seen_ms + int(self._settings.idle_s * 1000))

    def _has_expired(self, state: SessionState, now: int) -> bool:
        """Whether a session is over. Its connections' messages are looked at only when it seems so.

        A message counts as use of the session, the answers to pings do not: a forgotten page does
        not keep anybody logged in.
        """
        if self.expires_ms(state) > now:
            return False
        silences = [c.silent_ms for c in state.connections]
        used_ms = now - min((ms for ms in silences if ms >= 0), default=now)
        if used_ms <= state.seen_ms:
            return True
        state.seen_ms = used_ms
        self._touched[state.id] = state
        return self.expires_ms(state) <= now

    # --- changes ----------------------------------------

    def store(self, change: SessionChange) -> None:
        """Write a change to the table, inside the handler's transaction.

        Raises:
            RuntimeFault: FL562: the session is too large.
        """
        state = change.state
        if state is not None and (change.is_end or state.id != change.id):
            self.table.delete(state.id)
        if not change.is_end:
            now = self._clock_ms()
            created = now if state is None or state.id != change.id else state.created_ms
            self._put(change.id, change.packed, created, now)

    def _put(self, id: str, packed: bytes, created_ms: int, seen_ms: int) -> None:
        expires = min(
            created_ms + int(self._settings.max_age_s * 1000),
            seen_ms + int(self._settings.idle_s * 1000),
        )
        self.table.put(id, pack_row(packed, created_ms, seen_ms), expires)

    def apply(self, change: SessionChange) -> Callable[[BaseException | None], None]:
        """Make a committed change visible to the next request.

        Returns:
            What to call when the change is durable, or with the error when it is lost. It closes
            the connections of an ended session.
        """
        now = self._clock_ms()
        old = change.state
        if not change.is_end:
            self._note_user(change.packed)
        if old is not None:
            self._forget(old)
        if old is None or change.closes:
            state = SessionState(change.id, change.packed, now, now)
        else:
            state = old
            if state.id != change.id:
                state.id, state.created_ms = change.id, now
            state.packed = change.packed
            state.seen_ms = state.stored_ms = now
        ended = old if old is not state else None
        if ended is not None:
            ended.is_ended = True
        if not change.is_end:
            self._remember(state)
            change.result = state
        state.pending += 1

        def durable(error: BaseException | None) -> None:
            state.pending -= 1
            if error is not None:  # the table holds what was there before: read it again
                state.is_ended = True
                self._forget(state)
            if ended is not None:
                self._close(ended)

        return durable

    # --- connections ----------------------------------------

    def attach(self, state: SessionState, connection: WsContext) -> None:
        """Note an open connection of a session."""
        state.attach(connection)
        if state.connection_count == 1:
            self._cache.pop(state.id, None)
            self._connected[state.id] = state
            self._watch(state)

    def detach(self, state: SessionState, connection: WsContext) -> None:
        """Forget a connection; no effect when it was not attached."""
        if not state.detach(connection) or state.connection_count > 0:
            return
        if self._connected.get(state.id) is state:
            del self._connected[state.id]
            self._remember(state)

    def _end(self, state: SessionState) -> None:
        """A session has expired, or another process ended it."""
        state.is_ended = True
        self._forget(state)
        self._close(state)

    def _close(self, state: SessionState) -> None:
        """Close every connection of a session that has ended."""
        for connection in state.connections:
            self._drop(connection, CLOSE_CODE, CLOSE_REASON)

    def _note_user(self, packed: bytes) -> None:
        """Records like the user of a session are watched from now on."""
        user = kept_values(packed).get("user")
        if type(user) is EntityRef:
            self._rights.entities.add(user.entity)

    # --- rights ----------------------------------------

    @property
    def rights(self) -> int:
        """Number of the last change of rights; a connection keeps that of before its guards."""
        return self._rights.count

    def is_over(self, state: SessionState, rights: int) -> bool:
        """Whether a connection of a session may not open: it has ended, or its user has changed.

        Args:
            state: The session.
            rights: What `rights` was before the guards of the connection began.
        """
        return state.is_ended or (rights < self._rights.count and self._last_change(state) > rights)

    def _last_change(self, state: SessionState) -> int:
        user = state.data.get("user")
        return self._rights.last(user.entity, user.id) if type(user) is EntityRef else 0

    def _close_changed(self) -> None:
        """Close the connections of users whose rights are not those they were let in with."""
        seen, self._rights_seen = self._rights_seen, self._rights.count
        for state in list(self._connected.values()):
            last = self._last_change(state)
            if last <= seen:
                continue
            for connection in state.connections:
                if connection.rights < last:
                    self._drop(connection, CLOSE_CODE, CLOSE_REASON)

    # --- time ----------------------------------------

    def sweep(self) -> None:
        """Close connections of expired sessions and changed users; called about once a second."""
        now = self._clock_ms()
        if not self._due and self._due_ms <= now:
            self._due = list(self._connected.values())
            self._due_ms = _NEVER
        count = max(CHECKS_MAX, len(self._connected) // PASS_SWEEPS)
        due = self._due[-count:]
        del self._due[-count:]
        for state in due:
            if state.connection_count == 0 or self._connected.get(state.id) is not state:
                continue
            if self._has_expired(state, now):
                self._end(state)
            else:
                self._watch(state)
        if self._rights_seen != self._rights.count:
            self._close_changed()
        if self._is_shared:
            self._check_connected()

    def _check_connected(self) -> None:
        """Look whether another process ended sessions that have connections here."""
        if not self._unchecked:
            self._unchecked = list(self._connected.values())
        for state in self._unchecked[-CHECKS_MAX:]:
            if state.connection_count and not state.is_ended and not state.pending:
                self._read(state.id, state)
        del self._unchecked[-CHECKS_MAX:]

    def housekeeping(self) -> bool:
        """Whether store_touched() has something to write."""
        return bool(self._touched) or self._clock_ms() >= self._purge_ms

    def store_touched(self) -> None:
        """Write last uses and remove expired sessions; inside a transaction."""
        now = self._clock_ms()
        touched, self._touched = self._touched, {}
        for id, state in touched.items():
            if state.id == id and (id in self._cache or id in self._connected):
                self._put(id, state.packed, state.created_ms, state.seen_ms)
                state.stored_ms = state.seen_ms
        if now >= self._purge_ms:
            self._purge_ms = now + TOUCH_MS_MAX
            self.table.purge(now)

    def _watch(self, state: SessionState) -> None:
        """See to it that a session with connections is looked at when it may have expired."""
        self._due_ms = min(self._due_ms, self.expires_ms(state))

    def _remember(self, state: SessionState) -> None:
        if state.connection_count:
            self._connected[state.id] = state
            self._watch(state)
            return
        self._cache[state.id] = state
        self._cache.move_to_end(state.id)
        while len(self._cache) > CACHE_MAX:
            id, oldest = self._cache.popitem(last=False)
            if oldest.pending:  # not in the table for good yet: keep it, look at it later
                self._cache[id] = oldest
                break

    def _forget(self, state: SessionState) -> None:
        self._cache.pop(state.id, None)
        self._touched.pop(state.id, None)
        if self._connected.get(state.id) is state:
            del self._connected[state.id]
