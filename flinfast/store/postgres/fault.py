"""Our errors for PostgreSQL's and asyncpg's: what is wrong, with which database, what to do."""

from __future__ import annotations

import asyncio

import asyncpg

from flinfast.errors import ConflictFault, FlinError, RuntimeFault, StoreError

# The handler is to run again: another one was faster, or a table changed under a cached plan.
_CONFLICTS = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
)
LOST = (
    OSError,
    asyncpg.InternalClientError,  # a statement after the server's last words
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)


def translate(error: BaseException, label: str) -> BaseException:
    """What to raise instead of an error; those that are ours stay."""
    if isinstance(error, FlinError | OverflowError):
        return error
    if isinstance(error, _CONFLICTS):
        return ConflictFault("another handler changed the same records")
    if isinstance(error, asyncpg.UniqueViolationError):
        return ConflictFault("another handler saved the same `@unique` value")
    if isinstance(error, asyncpg.QueryCanceledError):
        return RuntimeFault(
            "a query ran for too long",
            code="FL512",
            hint="narrow it with `where` on an indexed field, or add `.limit(n)`",
        )
    if isinstance(error, asyncpg.DataError) and "int64 range" in str(error):
        return OverflowError(str(error))
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return StoreError(f"the database {label} refused the login: {error}")
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return StoreError(f"there is no database {label}: make it with `createdb`")
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return StoreError(
            f"the database {label} takes no more connections: lower `store.connections`"
        )
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return StoreError(f"the database {label} is read-only: is it a replica?")
    if isinstance(error, asyncpg.DiskFullError):
        return StoreError(f"the disk of the database {label} is full")
    if isinstance(error, asyncio.TimeoutError | TimeoutError):
        return StoreError(f"no connection to the database {label} became free in time")
    if isinstance(error, LOST):
        return StoreError(f"the database {label} cannot be reached: {error}")
    if isinstance(error, asyncpg.PostgresError):
        return StoreError(f"the database {label} refused a statement: {error}")
    return error
