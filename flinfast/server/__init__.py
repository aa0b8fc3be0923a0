"""Sockets, HTTP/1.1, upgrades, static files."""
