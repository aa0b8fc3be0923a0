"""Whose rights changed since they were let in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinfast.runtime import rights
from flinfast.runtime.rights import LOOKS, RightsWatch
from tests.runtime.harness import Parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path)
    yield made
    made.close()


@pytest.fixture
def watch(parts: Parts) -> RightsWatch:
    """Of a store that tells of its changes."""
    made = RightsWatch()
    made.entities.add("User")
    parts.store.on_change = made.note
    return made


def promote(parts: Parts, user: Any, role: str) -> None:
    user.flin_set("role", role)
    with parts.store.transaction():
        parts.store.save(user)


def test_a_new_role_counts_once(parts: Parts, watch: RightsWatch) -> None:
    """When it is different from the one before the first change, and then no more."""
    user = parts.user()
    assert not watch.has_noted
    promote(parts, user, "guest")
    promote(parts, user, "admin")
    assert watch.has_noted
    assert watch.take(parts.find_record).records == {("User", user.id)}
    assert not watch.has_noted


def fail_to_promote(parts: Parts, user: Any, role: str) -> None:
    """A handler that writes a role, and fails."""
    before = user._row
    parts.store.begin(writes=True)
    user.flin_set("role", role)
    parts.store.save(user)
    parts.store.rollback()
    user._row = before


def test_a_change_that_is_undone_is_none(parts: Parts, watch: RightsWatch) -> None:
    """It is looked at as long as a commit may take, then forgotten; one more begins anew."""
    user = parts.user()
    fail_to_promote(parts, user, "guest")
    assert not watch.take(parts.find_record).records
    fail_to_promote(parts, user, "admin")
    for _ in range(LOOKS):
        assert watch.has_noted
        assert not watch.take(parts.find_record).records
    assert not watch.has_noted


def test_a_change_counts_when_it_is_committed(parts: Parts, watch: RightsWatch) -> None:
    """Sweeps that come earlier find the record as it was."""
    user = parts.user()
    promote(parts, user, "guest")
    as_it_was = parts.user("Copy")
    assert not watch.take(lambda entity, id: as_it_was).records
    assert watch.take(parts.find_record).records == {("User", user.id)}


def test_a_role_that_came_and_went_counts_once(parts: Parts, watch: RightsWatch) -> None:
    """Who came in between has it; whether it is committed is looked at further."""
    user = parts.user()
    promote(parts, user, "admin")
    promote(parts, user, "member")
    assert watch.take(parts.find_record).records == {("User", user.id)}
    for _ in range(LOOKS - 1):
        assert watch.has_noted
        assert not watch.take(parts.find_record).records
    assert not watch.has_noted


@pytest.mark.parametrize("way", ["delete", "destroy"])
def test_a_user_who_is_gone_counts(parts: Parts, watch: RightsWatch, way: str) -> None:
    """Deleted or destroyed; not one who was restored."""
    user, back = parts.user(), parts.user("Bob")
    with parts.store.transaction():
        getattr(parts.store, way)(user)
        parts.store.delete(back)
        parts.store.restore(back)
    assert watch.take(parts.find_record).records == {("User", user.id)}


def test_nothing_is_forgotten_when_reading_fails(parts: Parts, watch: RightsWatch) -> None:
    """The next sweep does it."""
    user = parts.user()
    promote(parts, user, "guest")
    promote(parts, user, "member")

    def fails(entity: str, id: int) -> Any:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        watch.take(fails)
    assert watch.take(parts.find_record).records == {("User", user.id)}


def test_a_change_during_the_last_look_is_kept(parts: Parts, watch: RightsWatch) -> None:
    """Reading may wait, and the record may be written meanwhile."""
    user = parts.user()
    fail_to_promote(parts, user, "guest")
    for _ in range(LOOKS - 1):
        assert not watch.take(parts.find_record).records

    def read(entity: str, id: int) -> Any:
        found = parts.find_record(entity, id)
        promote(parts, user, "admin")
        return found

    assert not watch.take(read).records
    assert watch.take(parts.find_record).records == {("User", user.id)}


def test_a_change_during_the_first_look_is_kept(parts: Parts, watch: RightsWatch) -> None:
    """Even when that look finds a change, and the next role is committed later."""
    user = parts.user()
    promote(parts, user, "guest")

    def read(entity: str, id: int) -> Any:
        found = parts.find_record(entity, id)
        promote(parts, user, "admin")
        return found

    assert watch.take(read).records == {("User", user.id)}
    assert watch.take(parts.find_record).records == {("User", user.id)}


@pytest.mark.parametrize(("count", "is_all"), [(2, False), (3, False), (4, True)])
def test_what_is_noted_is_bounded(
    parts: Parts, watch: RightsWatch, monkeypatch: pytest.MonkeyPatch, count: int, is_all: bool
) -> None:
    """Beyond the limit every user of the entity counts, rather than none."""
    monkeypatch.setattr(rights, "NOTED_MAX", 3)
    users = [parts.user(f"User{number}") for number in range(count)]
    for user in users:
        promote(parts, user, "guest")
    changed = watch.take(parts.find_record)
    assert len(changed.records) == min(count, 3)
    assert changed.entities == ({"User"} if is_all else set())
    assert all(changed.has("User", user.id) for user in users)
    assert changed.has("User", 999) is is_all
    assert not watch.has_noted


def test_other_entities_are_not_looked_at(parts: Parts) -> None:
    """No session has a user of theirs."""
    made = RightsWatch()
    parts.store.on_change = made.note
    promote(parts, parts.user(), "guest")
    assert not made.has_noted
