"""The flinfast command."""
