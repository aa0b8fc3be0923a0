"""FLIN for Python people: HTTP routes and WebSocket endpoints in one file, on a compiled core."""

__version__ = "0.1.0"

__all__ = ["__version__"]
