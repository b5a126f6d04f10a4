"""`tutelage completion`: a script for the shell."""

import click

HOW = {
    "bash": 'eval "$(tutelage completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(tutelage completion zsh)"    # in ~/.zshrc',
    "fish": "tutelage completion fish > ~/.config/fish/completions/tutelage.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(sorted(HOW)))
def completion(shell: str) -> None:
    """Print a script that completes commands and ids.

    Ids are those of jobs, models and datasets of the server that is configured, asked for when you press Tab.

    \b
    Example:
      eval "$(tutelage completion bash)"   # in ~/.bashrc
      eval "$(tutelage completion zsh)"    # in ~/.zshrc
      tutelage completion fish > ~/.config/fish/completions/tutelage.fish
    """
    from click.shell_completion import get_completion_class

    from tutelage.cli import tutelage

    kind = get_completion_class(shell)
    assert kind is not None, "click completes in every shell that we offer"
    click.echo(kind(tutelage, {}, "tutelage", "_TUTELAGE_COMPLETE").source())
