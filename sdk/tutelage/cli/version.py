"""`tutelage version`."""

import click

from tutelage._version import __version__


@click.command()
def version() -> None:
    """Print the version of this program.

    \b
    Example:
      tutelage version
    """
    click.echo(__version__)
