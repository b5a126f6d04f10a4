"""What the service refuses, for a person: bad rows as a table, wrong fields with the options that set them."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tutelage

# How the service names a field of a row: `row 12.messages[0].content`, or `row 12` for the whole row.
ROW = re.compile(r"row (\d+)\.?(.*)")


def describe_refusal(error: "tutelage.TutelageError") -> str:
    """Returns an error in words, over several lines if it is about several things."""
    table = table_of(error)
    if table:
        others = [f"  {v.field}: {v.description}" for v in error.field_violations if not ROW.fullmatch(v.field)]
        # The message names the first rows, as the table does.
        summary = error.message.partition(": row ")[0]
        return "\n".join([summary, *others, table])
    if error.reason == "GATE_CLOSED":
        return f"{error}\n  against the gate, on the record:  --force --reason TEXT"
    options = options_of(error)
    hints = [f"  on the command line: {', '.join(options)}"] if options else []
    return "\n".join([one_field_a_line(error), *hints])


def one_field_a_line(error: "tutelage.TutelageError") -> str:
    """Returns the message; one that strings several fields together has a line for each instead."""
    fields = [f"{violation.field}: {violation.description}" for violation in error.field_violations]
    if len(fields) < 2 or error.message != "; ".join(fields):
        return str(error)
    return "\n".join([f"{len(fields)} fields are wrong", *(f"  {field}" for field in fields)])


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


def options_of(error: "tutelage.TutelageError") -> list[str]:
    """Returns the options that set the wrong fields, where the name of the field does not say it."""
    from tutelage._hyperparameter_rows import ROWS

    names = {f"spec.{row.path}": row.name for row in ROWS if not row.also}
    found = [(v.field.rsplit(".", 1)[-1], names.get(v.field, "")) for v in error.field_violations]
    return [f"--{name.replace('_', '-')}" for leaf, name in found if name and name != leaf]
