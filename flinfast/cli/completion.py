"""`flinfast completion`: the script that makes a shell complete commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from flinfast.cli.usage import example

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_FLINFAST_COMPLETE"  # how the script asks this program; click's convention


@click.command(
    "completion",
    epilog=example(
        "flinfast completion zsh > ~/.zfunc/_flinfast",
        'eval "$(flinfast completion bash)"',
        "flinfast completion fish > ~/.config/fish/completions/flinfast.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    Bash (4.4 or later): put the first line of the example into ~/.bashrc. Zsh: write the file into
    a folder of $fpath, such as ~/.zfunc. Fish: write the file shown; it is read by itself.
    """
    from flinfast.cli.commands import group

    found = get_completion_class(shell)
    assert found is not None  # click brings these three
    complete = found(group, {}, "flinfast", VARIABLE)
    # Not `source()`: that runs the shell to ask its version, and it may not be installed here.
    click.echo(complete.source_template % complete.source_vars())
