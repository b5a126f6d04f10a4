"""What a checker may be asked to look for; the trainer has the programs under the same names."""

from collections.abc import Iterator

from services.domain.drawing import CHECKERS, WITHOUT_ARGUMENT, Checker, CheckerName
from services.domain.errors import FieldViolation
from services.domain.limits import ANSWER_CHARACTERS_MAX, CHECKER_ARGUMENT_CHARACTERS_MAX
from services.domain.names import did_you_mean


def checker_violations(checker: Checker, path: str) -> Iterator[FieldViolation]:
    """Name what is wrong with a checker, with the nearest name for one that is not known."""
    name, argument = checker.name, checker.argument
    if name not in CHECKERS:
        known = ", ".join(CHECKERS)
        shown = name[:80]  # a longer one is none that was mistyped, and costs time to compare
        yield FieldViolation(
            f"{path}.name", f"must be one of {known}, got {ascii(shown)}{did_you_mean(shown, CHECKERS)}"
        )
    elif name in WITHOUT_ARGUMENT and argument:
        yield FieldViolation(f"{path}.argument", f"must be left out for {name}, which looks at the whole answer")
    elif len(argument) > CHECKER_ARGUMENT_CHARACTERS_MAX:
        description = f"must be at most {CHECKER_ARGUMENT_CHARACTERS_MAX:,} characters, got {len(argument):,}"
        yield FieldViolation(f"{path}.argument", description)
    elif name not in WITHOUT_ARGUMENT and not argument:
        yield FieldViolation(f"{path}.argument", f"is required for {name}: {_WANTED[name]}")
    elif name == CheckerName.LENGTH_AT_MOST.value and not _is_length(argument):
        description = f"must be a number of characters, 1 to {ANSWER_CHARACTERS_MAX:,}, got {ascii(argument[:80])}"
        yield FieldViolation(f"{path}.argument", description)


_WANTED = {
    CheckerName.CONTAINS.value: "what the answer must contain",
    CheckerName.EXCLUDES.value: "what the answer must not contain",
    CheckerName.LENGTH_AT_MOST.value: "how many characters it may have",
}


def _is_length(argument: str) -> bool:
    digits = argument.isascii() and argument.isdecimal() and len(argument) <= 10
    return digits and 1 <= int(argument) <= ANSWER_CHARACTERS_MAX
