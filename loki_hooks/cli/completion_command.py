"""`loki-hooks completion`: the script by which a shell completes our commands and options."""

from __future__ import annotations

import click

from loki_hooks.cli.console import PROGRAM, answer

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_LOKI_HOOKS_COMPLETE"
"""What the scripts set to ask for completions; click's own name for it."""


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script by which bash, zsh or fish completes commands, options and streams' names.

    In ~/.bashrc: eval "$(loki-hooks completion bash)"; in ~/.zshrc: eval "$(loki-hooks completion zsh)"; for fish:
    loki-hooks completion fish > ~/.config/fish/completions/loki-hooks.fish
    """
    from click.shell_completion import get_completion_class

    from loki_hooks.cli.main import commands

    made = get_completion_class(shell)
    assert made is not None
    answer(made(commands, {}, PROGRAM, VARIABLE).source())
