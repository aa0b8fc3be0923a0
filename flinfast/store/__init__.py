"""Entities over SQLite."""

from flinfast.store.condition import Template
from flinfast.store.entity import Entity
from flinfast.store.query import Query
from flinfast.store.record import Record
from flinfast.store.schema import EntitySpec, FieldSpec
from flinfast.store.session import SessionTable
from flinfast.store.store import Store

__all__ = [
    "Entity",
    "EntitySpec",
    "FieldSpec",
    "Query",
    "Record",
    "SessionTable",
    "Store",
    "Template",
]
