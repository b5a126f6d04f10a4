"""How answers are drawn and scored: settings of jobs that draw or measure, and of learning from one's own answers."""

import dataclasses
import enum


class CheckerName(enum.Enum):
    """Programs that score an answer from 0 to 1; nothing of the answer is run."""

    PYTHON_PARSES = "python-parses"
    JSON_PARSES = "json-parses"
    CONTAINS = "contains"
    EXCLUDES = "excludes"
    LENGTH_AT_MOST = "length-at-most"


CHECKERS = tuple(name.value for name in CheckerName)
WITHOUT_ARGUMENT = frozenset([CheckerName.PYTHON_PARSES.value, CheckerName.JSON_PARSES.value])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checker:
    """A program that scores answers, and what it looks for."""

    name: str
    argument: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawOptions:
    """How answers are drawn, decided; `seed` is that of the first answer to the first prompt."""

    max_tokens: int
    temperature: float
    top_k: int
    top_p: float
    seed: int
    stop: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawOptionsDraft:
    """How answers are drawn, as asked for."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawDraft:
    """The drawing of answers as a caller asks for it; what is None or empty is left to the service."""

    models: tuple[str, ...] = ()
    prompts: str = ""
    samples: int | None = None
    options: DrawOptionsDraft = DrawOptionsDraft()
    prompts_max: int | None = None
    checker: Checker | None = None
    reward_model: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateDraft:
    """The measuring of a model as a caller asks for it."""

    model: str = ""
    dataset: str = ""
    all_rows: bool | None = None
    options: DrawOptionsDraft = DrawOptionsDraft()
