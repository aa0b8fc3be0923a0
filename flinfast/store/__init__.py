"""Entities over SQLite."""
