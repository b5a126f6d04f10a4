"""Resource names: how things are called in a request, and what a call may name.

A name is a path of fixed words and ids, such as `projects/plays/jobs/first`. Ids that callers choose are lower-case
letters, digits and hyphens, at most 63, starting with a letter; ids that the house makes may start with a digit. The
project `-` stands for the project of the caller's key, in questions only: answers always carry the full name.
"""

import dataclasses
import difflib
import re
import uuid
from collections.abc import Iterable

from services.domain.errors import InvalidField, NotFound
from services.domain.limits import ID_CHARACTERS_MAX, NAME_CHARACTERS_MAX

_CHOSEN_ID = re.compile(rf"[a-z][a-z0-9-]{{0,{ID_CHARACTERS_MAX - 1}}}")
_ANY_ID = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{ID_CHARACTERS_MAX - 1}}}")
OWN_PROJECT = "-"


@dataclasses.dataclass(frozen=True)
class Pattern:
    """The shape of a kind of name, such as `projects/{project}/jobs/{job}`."""

    text: str

    def parse(self, name: str, *, field: str) -> tuple[str, ...]:
        """Return the ids in a name. Raises: InvalidField that shows the shape."""
        words, parts = self.text.split("/"), name.split("/")
        fits = len(name) <= NAME_CHARACTERS_MAX and len(words) == len(parts)
        if not fits or not all(map(_fits, words, parts)):
            raise InvalidField.of(field, f"must look like {self.text}, got {_shown(name)}")
        return tuple(part for word, part in zip(words, parts, strict=True) if word.startswith("{"))

    def format(self, *ids: str) -> str:
        """Return the name with these ids."""
        remaining = iter(ids)
        return "/".join(next(remaining) if word.startswith("{") else word for word in self.text.split("/"))


PROJECT = Pattern("projects/{project}")
JOB = Pattern("projects/{project}/jobs/{job}")
CHECKPOINT = Pattern("projects/{project}/jobs/{job}/checkpoints/{step}")
DATASET = Pattern("projects/{project}/datasets/{dataset}")
UPLOAD = Pattern("projects/{project}/uploads/{upload}")
CHECKPOINT = Pattern("projects/{project}/jobs/{job}/checkpoints/{step}")
MODEL = Pattern("projects/{project}/models/{model}")
MODEL_VERSION = Pattern("projects/{project}/models/{model}/versions/{version}")
API_KEY = Pattern("projects/{project}/apiKeys/{key}")
ALIAS = Pattern("projects/{project}/models/{model}/aliases/{alias}")
REVIEW = Pattern("projects/{project}/reviews/{review}")
REVIEW_ITEM = Pattern("projects/{project}/reviews/{review}/items/{item}")
SEAT = Pattern("projects/{project}/reviews/{review}/seats/{seat}")
VOTE = Pattern("projects/{project}/votes/{vote}")
FEEDBACK_SET = Pattern("projects/{project}/feedbackSets/{feedback_set}")
DUEL = Pattern("projects/{project}/duels/{duel}")


def ids_in_own_project(name: str, *, pattern: Pattern, own_project: str, field: str = "name") -> tuple[str, ...]:
    """Return the ids after the project, which must be the caller's own.

    Raises: NotFound for another project, exactly as for a thing that is missing; InvalidField for another shape.
    """
    project, *ids = pattern.parse(name, field=field)
    if project not in (OWN_PROJECT, own_project):
        raise NotFound.of(name, field=field)
    return tuple(ids)


def check_chosen_id(value: str, *, field: str) -> str:
    """Return an id that a caller chose. Raises: InvalidField."""
    if not _CHOSEN_ID.fullmatch(value):
        raise InvalidField.of(field, f"{CHOSEN_ID_RULE}, got {_shown(value)}")
    return value


CHOSEN_ID_RULE = f"must be lower-case letters, digits and hyphens, at most {ID_CHARACTERS_MAX}, starting with a letter"


def is_chosen_id(value: str) -> bool:
    """Whether a caller may choose this id."""
    return _CHOSEN_ID.fullmatch(value) is not None


def check_request_id(value: str, *, field: str = "request_id") -> str:
    """Return a request_id, which is a UUID or empty. Raises: InvalidField."""
    if not value:
        return value
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise InvalidField.of(field, f"must be a UUID such as {uuid.UUID(int=1 << 127)}, got {_shown(value)}") from None


def did_you_mean(wanted: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'plays'?` for the nearest of the known ids, or nothing."""
    nearest = difflib.get_close_matches(wanted, list(known), n=1, cutoff=0.5)  # two letters swapped in four are 0.5
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def _fits(word: str, part: str) -> bool:
    if not word.startswith("{"):
        return word == part
    return _ANY_ID.fullmatch(part) is not None or (word == "{project}" and part == OWN_PROJECT)


def _shown(value: str) -> str:
    return ascii(value if len(value) <= 80 else value[:80] + "…")
