"""The gate and the moves of an alias, without a database."""

import pytest

from services.domain.duels import DuelResult, DuelVerdict
from services.domain.errors import EtagMismatch, GateClosed, InvalidField, WrongState
from services.domain.promotion import (
    Alias,
    AliasMove,
    Duelled,
    Gate,
    check_alias_id,
    check_etag,
    check_gate,
    check_reason,
    gate_of,
    version_before,
)
from tests.support.houses import A_TIME

PROD = Alias(project_id="own", model_id="chat", id="prod", version=3, etag="e3", update_time=A_TIME)


def duel(verdict: DuelVerdict, *, challenging: bool = True) -> Duelled:
    numbers = dict.fromkeys(("win_rate", "win_rate_low", "win_rate_high", "pairs_missing"), None)
    scores = {"champion_score": None, "challenger_score": None, "summary": "so it is."}
    result = DuelResult(verdict=verdict, wins=0, losses=0, ties=0, pairs=0, evidence=1.0, **numbers, **scores)  # type: ignore[arg-type]
    return Duelled(name="projects/own/duels/d", result=result, challenging=challenging)


def gate(*duels: Duelled, **said: object) -> Gate:
    given = {"checks": {}, "checks_before": {}, "retracted_votes": 0, **said}
    return gate_of(duels=duels, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdict", "challenging", "against", "words"),
    [
        (DuelVerdict.WORSE, True, True, "it lost projects/own/duels/d: so it is."),
        (DuelVerdict.BETTER, False, True, "it lost projects/own/duels/d: so it is."),
        (DuelVerdict.BETTER, True, False, "better"),
        (DuelVerdict.WORSE, False, False, "better"),
        (DuelVerdict.UNDECIDED, True, False, "no duel"),
        (DuelVerdict.NO_DIFFERENCE, True, False, "no duel"),
        (DuelVerdict.FAILED, True, False, "no duel"),
    ],
)
def test_a_lost_duel_closes_the_gate(verdict: DuelVerdict, challenging: bool, against: bool, words: str) -> None:
    found = gate(duel(verdict, challenging=challenging))
    assert (bool(found.against), found.words) == (against, words)


def test_the_newest_decided_duel_counts() -> None:
    undecided, lost, won = (duel(each) for each in (DuelVerdict.UNDECIDED, DuelVerdict.WORSE, DuelVerdict.BETTER))
    assert gate(undecided, lost, won).against and not gate(undecided, won, lost).against


def test_checks_count_that_both_went_through() -> None:
    assert not gate(checks={"a": 0.1}, checks_before={"b": 0.9}).against
    assert not gate(checks={"a": 0.9}, checks_before={"a": 0.9}).against
    assert gate(checks={"a": 0.5, "b": 1.0}, checks_before={"a": 0.9, "b": 0.1}).words == (
        "it passes 50.0% of the checks of a, not 90.0%"
    )


def test_everything_that_speaks_against_a_version_is_told() -> None:
    found = gate(duel(DuelVerdict.WORSE), checks={"a": 0.1}, checks_before={"a": 0.2}, retracted_votes=1)
    assert len(found.against) == 3 and found.words.endswith("; 1 vote in it was retracted")
    with pytest.raises(GateClosed, match="v4 does not become prod: it lost .*; it passes .*; 1 vote .*`force`"):
        check_gate(found, name="v4", alias="prod", force=False)
    check_gate(found, name="v4", alias="prod", force=True)
    check_gate(gate(), name="v4", alias="prod", force=False)


@pytest.mark.parametrize("value", ["latest", "v1", "v10", "1", "-a", "A", "a" * 64, ""])
def test_aliases_that_could_be_versions_are_refused(value: str) -> None:
    with pytest.raises(InvalidField):
        check_alias_id(value)


@pytest.mark.parametrize("value", ["prod", "v1-rc", "value", "vnext", "a" * 63])
def test_other_aliases_are_taken(value: str) -> None:
    assert check_alias_id(value) == value


def test_a_reason_is_needed_against_the_gate() -> None:
    assert check_reason("") == ""
    with pytest.raises(InvalidField, match="force"):
        check_reason("  ", force=True)


def test_an_etag_is_compared_where_one_is_given() -> None:
    check_etag("", alias=PROD, name=PROD.name)
    check_etag("e3", alias=PROD, name=PROD.name)
    check_etag("", alias=None, name=PROD.name)
    with pytest.raises(EtagMismatch, match="chat/versions/3 now"):
        check_etag("e2", alias=PROD, name=PROD.name)
    with pytest.raises(EtagMismatch, match="does not exist"):
        check_etag("e2", alias=None, name=PROD.name)


def moves(words: str) -> list[AliasMove]:
    """Return moves, oldest first: a number is a promotion, `<2` a way back to 2."""
    found = []
    for word in words.split():
        version = int(word.removeprefix("<"))
        back = word.startswith("<")
        found.append(AliasMove(version=version, model_version="", time=A_TIME, actor="", rolled_back=back))
    return found


@pytest.mark.parametrize(
    ("words", "before"), [("1 2", 1), ("1 2 3 <2", 1), ("1 2 <1 3", 1), ("1 2 <1 3 4 <3", 1), ("2 1 2", 1)]
)
def test_going_back_goes_to_the_version_before(words: str, before: int) -> None:
    assert version_before(moves(words), name=PROD.name) == before


@pytest.mark.parametrize("words", ["1", "1 2 <1", "3 4 5 <4 <3"])
def test_there_is_no_way_back_from_the_first_version(words: str) -> None:
    with pytest.raises(WrongState, match="no version before"):
        version_before(moves(words), name=PROD.name)
