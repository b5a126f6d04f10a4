"""How commands are found and how they end: modules loaded on use, errors turned into words and exit codes."""

import difflib
import importlib
import os
from collections.abc import Mapping
from typing import Any

import click

FAILURE, WRONG_USE, JOB_FAILED, TIMEOUT, NOT_ALLOWED, DIFFERS, INTERRUPTED = 1, 2, 3, 4, 5, 6, 130


class LazyGroup(click.Group):
    """A group that knows its commands by name and short help, and loads the module of the one that is used."""

    def __init__(self, *, commands_by_name: Mapping[str, tuple[str, str]], **settings: Any) -> None:
        super().__init__(**settings)
        self.commands_by_name = commands_by_name

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names in the order of the table, which is that of a first visit."""
        return list(self.commands_by_name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Loads one command."""
        if cmd_name not in self.commands_by_name:
            near = difflib.get_close_matches(cmd_name, self.commands_by_name, n=1)
            if near:
                ctx.fail(f"No such command {cmd_name!r}. Did you mean {near[0]!r}?")
            return None
        module, _, name = self.commands_by_name[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"tutelage.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.commands_by_name.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuses text that is not UTF-8, which no message can carry. The path of a file may hold any bytes."""
        for argument in args:
            if not is_utf8(argument) and not os.path.lexists(argument):
                ctx.fail(f"the argument {ascii(argument)} is not UTF-8")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; what goes wrong becomes words on standard error and an honest exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except Exception as error:
            code = explain(error)
            if code is None:
                raise
            ctx.exit(code)


def is_utf8(text: str) -> bool:
    """Says whether a text can be sent: Python keeps bytes that it could not decode as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def explain(error: Exception) -> int | None:
    """Prints an error that a person can act on and returns the exit code; None for one that is a fault of ours."""
    if isinstance(error, click.ClickException | click.exceptions.Exit | click.Abort | BrokenPipeError):
        return None
    from tutelage._errors import TutelageError
    from tutelage.cli._output import clean
    from tutelage.cli._refusals import describe_refusal

    if isinstance(error, UnicodeEncodeError) and not is_utf8(error.object):
        click.echo(f"error: {ascii(error.object)} is not UTF-8", err=True)
        return WRONG_USE
    if not isinstance(error, TutelageError | OSError):
        return None
    text = describe_refusal(error) if isinstance(error, TutelageError) else str(error)
    click.echo(f"error: {clean(text)}", err=True)
    return exit_code(error)


def exit_code(error: Exception) -> int:
    """Returns the exit code of an error, as documented in `tutelage --help`."""
    from tutelage import _errors

    codes: list[tuple[type[Exception] | tuple[type[Exception], ...], int]] = [
        ((_errors.JobFailed, _errors.JobCancelled), JOB_FAILED),
        ((_errors.WaitTimeout, _errors.DeadlineExceeded), TIMEOUT),
        ((_errors.Unauthenticated, _errors.PermissionDenied, _errors.NotConfigured), NOT_ALLOWED),
        (_errors.InvalidArgument, WRONG_USE),
    ]
    return next((code for kinds, code in codes if isinstance(error, kinds)), FAILURE)
