"""Services for tests of builtins: a hub that records, a clock that stands, work done at once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flinfast.runtime.encode import encode_json
from flinfast.runtime.secret import Secrets
from flinfast.runtime.services import Services
from flinfast.settings import Settings

NOW_MS = 1_800_000_000_123  # 2027-01-15T08:00:00.123Z


class FakeConnection:
    """What builtins see of a connection."""

    def __init__(self, connection_id: str = "ws_1") -> None:
        self.connection_id = connection_id
        self.rooms: list[str] = []


class RecordingHub:
    """Remembers effects instead of sending anything; encodes as the real one does."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.members: dict[str, list[str]] = {}
        self.connection_count = 0

    def _record(self, *call: Any, volatile: bool = False) -> int:
        self.calls.append((*call, "volatile") if volatile else call)
        if call[0] != "close" and type(call[-1]) not in (str, bytes):
            encode_json(call[-1])
        return 1

    def send(self, target: str, data: Any, volatile: bool = False) -> int:
        return self._record("send", target, data, volatile=volatile)

    def send_to(self, connection: Any, data: Any) -> int:
        return self._record("send_to", connection, data)

    def broadcast(self, room: str, data: Any, volatile: bool = False) -> int:
        return self._record("broadcast", room, data, volatile=volatile)

    def broadcast_others(self, room: str, data: Any, volatile: bool = False) -> int:
        return self._record("broadcast_others", room, data, volatile=volatile)

    def broadcast_all(self, data: Any, volatile: bool = False) -> int:
        return self._record("broadcast_all", data, volatile=volatile)

    def join(self, connection: Any, room: str) -> bool:
        self.calls.append(("join", connection, room))
        is_new = room not in connection.rooms
        if is_new:
            connection.rooms.append(room)
        return is_new

    def leave(self, connection: Any, room: str) -> bool:
        self.calls.append(("leave", connection, room))
        was_member = room in connection.rooms
        if was_member:
            connection.rooms.remove(room)
        return was_member

    def close(self, connection: Any, code: int, reason: str) -> None:
        self.calls.append(("close", connection, code, reason))

    def room_size(self, room: str) -> int:
        return len(self.members.get(room, ()))

    def room_connection_ids(self, room: str) -> list[str]:
        return list(self.members.get(room, ()))


class BlockingWaiter:
    """Runs work at once and remembers the naps."""

    def __init__(self) -> None:
        self.works = 0
        self.slept_s: list[float] = []

    def go_on(self) -> None:
        pass

    def wait(self, work: Callable[[], Any]) -> Any:
        self.works += 1
        return work()

    compute = wait

    def wait_callback(self, start: Callable[[Callable[[Any], None]], None]) -> Any:
        results: list[Any] = []
        start(results.append)
        return results[0]

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)


class RecordingLog:
    """Remembers log lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any], str]] = []

    def __call__(self, level: str, text: str, fields: Mapping[str, Any], place: str) -> None:
        self.lines.append((level, text, dict(fields), place))


def fake_services(root: Path) -> Services:
    """Services over a folder, without a store, sessions or a loop."""
    return Services(
        hub=RecordingHub(),  # type: ignore[arg-type]
        store=None,
        root=root,
        settings=Settings(),
        clock_ms=lambda: NOW_MS,
        log=RecordingLog(),
        scheduler=None,  # type: ignore[arg-type]
        waiter=BlockingWaiter(),
        sessions=None,  # type: ignore[arg-type]
        secrets=Secrets(b"k" * 32),
    )
