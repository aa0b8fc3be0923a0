"""`python -m flinfast`."""

from flinfast.cli.main import run

run()
