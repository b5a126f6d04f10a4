"""Aliases: names that people use for a version, and the gate that a version passes before it gets one.

The gate is closed while something that is known speaks against the version: a duel that it lost, checks that fail more
often than before, or a vote in it that was retracted. It is no judge of what nobody has measured: without a duel it
is open, and says so.
"""

import dataclasses
import datetime
import re
from collections.abc import Iterable, Mapping, Sequence

from services.domain.counting import counted
from services.domain.duels import DuelResult, DuelVerdict
from services.domain.errors import EtagMismatch, GateClosed, InvalidField, WrongState
from services.domain.limits import REASON_CHARACTERS_MAX
from services.domain.names import ALIAS, MODEL_VERSION, check_chosen_id
from services.domain.words import check_words

LATEST = "latest"
ROLLED_BACK = "rolled back"
_LIKE_A_VERSION = re.compile(r"v[0-9]+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AliasMove:
    """A move of an alias to a version; `gate` is what the gate said."""

    version: int
    model_version: str
    time: datetime.datetime
    actor: str
    reason: str = ""
    gate: str = ""
    forced: bool = False
    rolled_back: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Alias:
    """A name for a version; `etag` changes with every move. `moves` are the newest first."""

    project_id: str
    model_id: str
    id: str
    version: int
    etag: str
    update_time: datetime.datetime
    moves: tuple[AliasMove, ...] = ()

    @property
    def name(self) -> str:
        """Its resource name."""
        return ALIAS.format(self.project_id, self.model_id, self.id)

    @property
    def model_version(self) -> str:
        """Resource name of the version that has it."""
        return MODEL_VERSION.format(self.project_id, self.model_id, str(self.version))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Duelled:
    """A duel of the version that wants an alias with the one that has it; `challenging` says whether it challenged."""

    name: str
    result: DuelResult
    challenging: bool

    @property
    def worse(self) -> bool:
        """Whether the version lost."""
        return self.result.verdict is (DuelVerdict.WORSE if self.challenging else DuelVerdict.BETTER)

    @property
    def better(self) -> bool:
        """Whether the version won."""
        return self.result.verdict is (DuelVerdict.BETTER if self.challenging else DuelVerdict.WORSE)


Checks = Mapping[str, float]
"""The share of checks that a version passes, by what was checked."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gate:
    """What the gate says: `against` is what speaks against the version, `words` what is kept with the move."""

    against: tuple[str, ...] = ()
    better: bool = False

    @property
    def words(self) -> str:
        """What the gate said, in words."""
        if self.against:
            return "; ".join(self.against)
        return "better" if self.better else "no duel"


def gate_of(*, duels: Iterable[Duelled], checks: Checks, checks_before: Checks, retracted_votes: int) -> Gate:
    """Return what the gate says of a version.

    `duels` are those with the version that has the alias, newest first: the newest that is decided counts. Of the
    checks, those count that both versions went through.
    """
    decided = next((each for each in duels if each.worse or each.better), None)
    against = []
    if decided is not None and decided.worse:
        against.append(f"it lost {decided.name}: {decided.result.summary}")
    for checked in sorted(checks.keys() & checks_before.keys()):
        if checks[checked] < checks_before[checked]:
            against.append(
                f"it passes {checks[checked]:.1%} of the checks of {checked}, not {checks_before[checked]:.1%}"
            )
    if retracted_votes:
        retracted = "was" if retracted_votes == 1 else "were"
        against.append(f"{counted(retracted_votes, 'vote')} in it {retracted} retracted")
    return Gate(against=tuple(against), better=decided is not None and decided.better)


def check_gate(gate: Gate, *, name: str, alias: str, force: bool) -> None:
    """Let a version through. Raises: GateClosed, unless it is forced."""
    if gate.against and not force:
        raise GateClosed.of(f"{name} does not become {alias}: {gate.words}", resource=name)


def check_alias_id(value: str) -> str:
    """Return the id of an alias. Raises: InvalidField."""
    check_chosen_id(value, field="alias")
    if value == LATEST or _LIKE_A_VERSION.fullmatch(value):
        raise InvalidField.of("alias", f"must not be `latest` or look like a version, such as `v3`, got {value!r}")
    return value


def check_reason(value: str, *, force: bool = False) -> str:
    """Return why an alias is moved; a reason is needed against the gate. Raises: InvalidField."""
    if force and not value.strip():
        raise InvalidField.of("reason", "is required with `force`: it is kept with the move")
    return check_words(value, field="reason", characters_max=REASON_CHARACTERS_MAX)


def check_etag(wanted: str, *, alias: Alias | None, name: str) -> None:
    """Check that an alias is as the caller knows it; without an etag it may be anything. Raises: EtagMismatch."""
    found = alias.etag if alias else ""
    if wanted and wanted != found:
        now = f"it is {alias.model_version} now" if alias else "it does not exist"
        raise EtagMismatch(f"{name} was moved by somebody else: {now}", metadata={"resource": name, "etag": found})


def version_before(moves: Sequence[AliasMove], *, name: str) -> int:
    """Return the version that an alias had before, from all its moves, oldest first.

    Going back twice goes back two moves: a move that was taken back does not count.
    Raises: WrongState if there is none.
    """
    held: list[int] = []
    for move in moves:
        if move.rolled_back:
            held.pop()
        else:
            held.append(move.version)
    if len(held) < 2:
        raise WrongState.of(f"{name} had no version before this one", state="FIRST")
    return held[-2]
