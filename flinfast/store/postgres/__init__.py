"""Entities in PostgreSQL 14 or newer, through asyncpg (extra `postgres`)."""

from flinfast.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
