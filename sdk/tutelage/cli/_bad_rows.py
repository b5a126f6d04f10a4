"""Rows that the service found wanting, as a table."""

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import tutelage

# How the service names a field of a row: rows[12].messages, counted from 1.
ROW = re.compile(r"rows?\[(\d+)\]\.?(.*)")


def table_of(error: "tutelage.TutelageError") -> str:
    """Returns the bad rows of an upload with field and reason, one a line; nothing if the error is about none."""
    from tutelage.cli._output import one_line

    found = [(ROW.fullmatch(violation.field), violation.description) for violation in error.field_violations]
    cells = [(match[1], match[2], one_line(text)) for match, text in found if match is not None]
    if not cells:
        return ""
    lines = [("ROW", "FIELD", "PROBLEM"), *cells]
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    return "\n".join(f"  {row:>{widths[0]}}  {field:<{widths[1]}}  {text}".rstrip() for row, field, text in lines)


def print_bad_rows(error: "tutelage.TutelageError") -> bool:
    """Prints an error about rows; says whether it was one."""
    from tutelage.cli._output import clean

    table = table_of(error)
    if table:
        others = [v for v in error.field_violations if not ROW.fullmatch(v.field)]
        lines = [f"error: {error.message}", *(f"  {v.field}: {v.description}" for v in others), table]
        click.echo(clean("\n".join(lines)), err=True)
    return bool(table)
