"""The gate before an alias: closed by a lost duel, by checks that fail more often, and by retracted votes."""

import dataclasses

import pytest

from services.domain.datasets import RowKind
from services.domain.drawing import Checker, EvaluateDraft
from services.domain.duels import Duel, DuelJudge
from services.domain.errors import GateClosed
from services.domain.job_events import Fact, MetricLogged
from services.domain.methods import Method
from services.domain.promotion import Alias
from services.jobs.evaluate_model import evaluate_model
from services.models.promote_model import promote_model
from tests.support.duels import CHALLENGER, CHAMPION, DuelBench, make_duel_bench
from tests.support.feedback import FeedbackBench
from tests.support.houses import Bench
from tests.support.works import add_rows, claimed

LOST, WON = [(1.0, 0.0)] * 9, [(0.0, 1.0)] * 9


@pytest.fixture
def duels(bench: Bench) -> DuelBench:
    """A bench with two versions, of which the first has the alias."""
    made = make_duel_bench(bench)
    promote(made, CHAMPION)
    return made


def promote(duels: DuelBench, name: str = CHALLENGER, **said: object) -> Alias:
    caller = duels.caller("PromoteModel")
    return promote_model(duels.bench.house, caller=caller, name=name, alias="prod", **said)  # type: ignore[arg-type]


def duelled(duels: DuelBench, scores: list[tuple[float, float]], **draft: object) -> Duel:
    duel = duels.create(judge=DuelJudge.CHECKER, checker=Checker(name="json-parses"), **draft)
    duels.draw(duel, scores)
    return duel


def passed(duels: DuelBench, version: str, share: float, *, dataset: str, **draft: object) -> None:
    """Let a version pass a share of the checks of a dataset."""
    asked = EvaluateDraft(model=version, dataset=dataset, **draft)  # type: ignore[arg-type]
    caller = duels.bench.calling("EvaluateModel")
    job = evaluate_model(duels.bench.house, caller=caller, parent="projects/-", draft=asked)
    at = claimed(duels.bench, job)
    told = MetricLogged(step=1, values={"eval/checks_passed": share, "eval/checks": 20.0})
    duels.bench.report(at, Fact(seq=1, told=told))
    duels.bench.complete(at)


def test_without_a_duel_the_gate_is_open_and_says_so(duels: DuelBench) -> None:
    assert promote(duels).moves[0].gate == "no duel"


def test_a_version_that_won_is_let_through(duels: DuelBench) -> None:
    duelled(duels, WON)
    assert promote(duels).moves[0].gate == "better"


def test_a_version_that_lost_is_not(duels: DuelBench) -> None:
    duel = duelled(duels, LOST)
    with pytest.raises(GateClosed, match="it lost projects/own/duels/duel-.*: The challenger is worse") as caught:
        promote(duels)
    assert caught.value.metadata["resource"] == CHALLENGER and duel.name in str(caught.value)


def test_a_version_that_lost_as_champion_is_not_either(duels: DuelBench) -> None:
    duelled(duels, WON, champion=CHALLENGER, challenger=CHAMPION)
    with pytest.raises(GateClosed):
        promote(duels)


def test_the_newest_duel_that_is_decided_counts(duels: DuelBench) -> None:
    duelled(duels, LOST)
    duelled(duels, [(1.0, 0.0)])
    with pytest.raises(GateClosed):
        promote(duels)
    duelled(duels, WON)
    assert promote(duels).version == 2


def test_only_a_duel_with_the_version_that_has_the_alias_counts(duels: DuelBench) -> None:
    from tests.support.works import published

    third = published(duels.bench, model="chat", job_id="third")
    duelled(duels, LOST, champion=third.name)
    assert promote(duels).version == 2


def test_checks_that_fail_more_often_close_the_gate(duels: DuelBench) -> None:
    checks = add_rows(duels.bench.house, "own", id="musts", kind=RowKind.CHECKS).name
    passed(duels, CHAMPION, 0.9, dataset=checks)
    assert promote_and_back(duels)  # the challenger was not measured
    passed(duels, CHALLENGER, 0.8, dataset=checks)
    with pytest.raises(GateClosed, match=r"it passes 80.0% of the checks of .*musts.*, not 90.0%"):
        promote(duels)
    passed(duels, CHALLENGER, 0.9, dataset=checks)  # the newest measure counts
    assert promote(duels).version == 2


def promote_and_back(duels: DuelBench) -> bool:
    """Promote and promote back again, whatever the gate says to that."""
    promote(duels)
    return promote(duels, CHAMPION, force=True, reason="back").version == 1


def test_measures_on_other_rows_are_not_compared(duels: DuelBench) -> None:
    musts = add_rows(duels.bench.house, "own", id="musts", kind=RowKind.CHECKS).name
    wishes = add_rows(duels.bench.house, "own", id="wishes", kind=RowKind.CHECKS).name
    passed(duels, CHAMPION, 1.0, dataset=musts)
    passed(duels, CHALLENGER, 0.1, dataset=wishes)
    passed(duels, CHALLENGER, 0.1, dataset=musts, all_rows=False)
    assert promote(duels).version == 2


def test_measures_of_other_versions_hide_none(duels: DuelBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.storage.lineages._EVALUATIONS_READ_MAX", 1)
    musts = add_rows(duels.bench.house, "own", id="musts", kind=RowKind.CHECKS).name
    passed(duels, CHALLENGER, 0.1, dataset=musts)
    passed(duels, CHAMPION, 1.0, dataset=musts)
    with pytest.raises(GateClosed):
        promote(duels)


def test_a_retracted_vote_in_a_version_closes_the_gate(duels: DuelBench) -> None:
    feedback = FeedbackBench(duels.reviews)
    votes = [feedback.prefer(number) for number in range(20)]
    frozen = feedback.freeze()
    learnt = feedback.tuned(frozen, method=Method.DPO, model="chat")
    later = feedback.tuned(duels.bench.dataset, base=learnt.name, model="chat")
    feedback.retract(votes[0])
    feedback.retract(votes[1])
    for version in (learnt, later):
        with pytest.raises(GateClosed, match="2 votes in it were retracted"):
            promote(duels, version.name)
    assert promote(duels).version == 2  # which has not learnt from it


def test_the_gate_can_be_forced_with_a_reason_that_is_kept(duels: DuelBench) -> None:
    duelled(duels, LOST)
    forced = promote(duels, force=True, reason="the checker is wrong")
    move = forced.moves[0]
    assert (forced.version, move.forced, move.reason) == (2, True, "the checker is wrong")
    assert "it lost" in move.gate
    assert not forced.moves[1].forced


def test_force_is_not_recorded_where_it_was_not_needed(duels: DuelBench) -> None:
    assert not promote(duels, force=True, reason="to be sure").moves[0].forced


def test_a_closed_gate_moves_nothing_and_remembers_nothing(duels: DuelBench) -> None:
    from services.domain.requests import RequestKey

    key = RequestKey(request_id="11111111-1111-4111-8111-111111111111", body_sha256="a" * 64)
    lost = duelled(duels, LOST)
    with pytest.raises(GateClosed):
        promote(duels, request=key)
    duelled(duels, WON)
    assert promote(duels, request=key).version == 2
    assert dataclasses.replace(lost, result=None).champion == CHAMPION
