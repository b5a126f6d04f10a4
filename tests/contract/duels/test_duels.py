"""Duels: begun with everything they need, judged by people or by scores, and read again and again."""

import pytest

from services.domain.drawing import Checker, DrawOptionsDraft
from services.domain.duels import DuelJudge, DuelVerdict
from services.domain.errors import AlreadyExists, InvalidField, NotFound, RequestIdReused, WrongState
from services.domain.judgements import ReviewKind
from services.domain.pages import PageRequest
from services.domain.requests import RequestKey
from services.domain.work import DrawSpec
from services.duels import create_duel as creating
from services.duels.get_duel import get_duel
from services.duels.list_duels import list_duels
from services.models.promote_model import promote_model
from services.projects.list_audit_entries import list_audit_entries
from services.reviews.update_review import update_review
from tests.support.duels import CHALLENGER, CHAMPION, DuelBench, make_duel_bench
from tests.support.houses import Bench, add_project

PARSES = Checker(name="python-parses")
KEY = RequestKey(request_id="11111111-1111-4111-8111-111111111111", body_sha256="a" * 64)
UNDECIDED, BETTER, WORSE = DuelVerdict.UNDECIDED, DuelVerdict.BETTER, DuelVerdict.WORSE


@pytest.fixture
def duels(bench: Bench) -> DuelBench:
    """A bench with two versions and prompts."""
    return make_duel_bench(bench)


def by_checker(duels: DuelBench, **draft: object):
    return duels.create(judge=DuelJudge.CHECKER, checker=PARSES, **draft)


def test_a_duel_begins_with_its_job_and_its_review(duels: DuelBench) -> None:
    duel = duels.create("first", overlap=2, guidelines="Be kind.", options=DrawOptionsDraft(seed=7))
    assert (duel.name, duel.champion, duel.challenger) == ("projects/own/duels/first", CHAMPION, CHALLENGER)
    assert (duel.judge, duel.error_rate, duel.pairs, duel.options.seed) == (DuelJudge.REVIEWERS, 0.05, 100, 7)
    job, review = duels.bench.job(duel.job_uid), duels.review(duel)
    assert isinstance(job.spec, DrawSpec)
    assert (job.name, job.spec.models, job.spec.samples) == (duel.job, (CHAMPION, CHALLENGER), 1)
    assert (review.name, review.kind, review.overlap, review.guidelines) == (
        duel.review,
        ReviewKind.PAIR,
        2,
        "Be kind.",
    )
    assert (review.duel, review.job_uid) == (duel.name, duel.job_uid)
    assert duel.result is not None and duel.result.verdict is UNDECIDED
    assert duels.get(duel) == duel


def test_a_duel_by_scores_needs_no_review(duels: DuelBench) -> None:
    duel = by_checker(duels)
    assert (duel.review, duel.checker) == ("", PARSES)
    job = duels.bench.job(duel.job_uid)
    assert isinstance(job.spec, DrawSpec) and job.spec.checker == PARSES


def test_job_review_and_duel_are_written_together_or_not_at_all(
    duels: DuelBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(creating, "judged", lambda *_: (_ for _ in ()).throw(RuntimeError("power cut")))
    with pytest.raises(RuntimeError):
        duels.create("first")
    with duels.bench.house.storage.read() as uow:
        assert uow.duels.find("own", "first") is None
        assert list(uow.reviews.ids("own")) == []
    monkeypatch.undo()
    duels.create("first")


def test_a_repeated_request_is_the_same_duel(duels: DuelBench) -> None:
    first = duels.create(request=KEY)
    assert duels.create(request=KEY) == first
    with pytest.raises(RequestIdReused):
        duels.create(request=RequestKey(request_id=KEY.request_id, body_sha256="b" * 64))
    entries, _ = list_audit_entries(
        duels.bench.house, caller=duels.bench.caller, parent="projects/-", page=PageRequest()
    )
    assert [each.resource for each in entries].count(first.name) == 1


def test_an_id_is_taken_once(duels: DuelBench) -> None:
    duels.create("first")
    with pytest.raises(AlreadyExists, match="duels/first"):
        duels.create("first")


def test_an_alias_and_a_model_are_versions_too(duels: DuelBench) -> None:
    promote_model(duels.bench.house, caller=duels.caller("PromoteModel"), name=CHAMPION, alias="prod")
    duel = duels.create(champion="projects/-/models/chat/aliases/prod", challenger="projects/-/models/chat")
    assert (duel.champion, duel.challenger) == (CHAMPION, CHALLENGER)


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        ({"challenger": CHAMPION}, "duel.challenger"),
        ({"champion": "projects/-/models/chat"}, "duel.challenger"),
        ({"champion": ""}, "duel.champion"),
        ({"prompts": ""}, "duel.prompts"),
        ({"error_rate": 0.5}, "duel.error_rate"),
        ({"error_rate": float("nan")}, "duel.error_rate"),
        ({"judge": DuelJudge.CHECKER}, "duel.checker"),
        ({"checker": PARSES}, "duel.checker"),
        ({"judge": DuelJudge.REWARD_MODEL}, "duel.reward_model"),
        ({"reward_model": CHAMPION}, "duel.reward_model"),
        ({"judge": DuelJudge.CHECKER, "checker": PARSES, "overlap": 2}, "duel.overlap"),
        ({"judge": DuelJudge.CHECKER, "checker": PARSES, "reviewers": ("x",)}, "duel.reviewers"),
        ({"judge": DuelJudge.CHECKER, "checker": Checker(name="magic")}, "duel.checker"),
        ({"overlap": 21}, "duel.overlap"),
        ({"reviewers": ("projects/-/apiKeys/nobody",)}, "duel.reviewers[0]"),
        ({"options": DrawOptionsDraft(temperature=-1.0)}, "duel.options.temperature"),
    ],
)
def test_what_is_wrong_is_refused_by_its_field(duels: DuelBench, draft: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        duels.create(**draft)
    assert any(each.field.startswith(field) for each in caught.value.violations), caught.value.violations


def test_what_is_missing_is_not_found(duels: DuelBench) -> None:
    for draft in (
        {"champion": f"{CHAMPION}7"},
        {"challenger": "projects/-/models/chatt"},
        {"prompts": "projects/-/datasets/no"},
    ):
        with pytest.raises(NotFound):
            duels.create(**draft)
    with pytest.raises(NotFound, match="did you mean 'first'"):
        duels.create("first")
        get_duel(duels.bench.house, caller=duels.bench.caller, name="projects/-/duels/frist")
    stranger = add_project(duels.bench.house, "foreign")
    with pytest.raises(NotFound):
        get_duel(duels.bench.house, caller=stranger, name="projects/own/duels/first")


def test_scores_decide_a_duel(duels: DuelBench) -> None:
    duel = by_checker(duels)
    duels.draw(duel, [(0.0, 1.0)] * 7 + [(1.0, 1.0)] * 3 + [(1.0, 0.0)])
    now = duels.get(duel).result
    assert now is not None
    assert (now.verdict, now.wins, now.losses, now.ties, now.pairs) == (UNDECIDED, 7, 1, 3, 100)
    assert (now.champion_score, now.challenger_score) == (pytest.approx(4 / 11), pytest.approx(10 / 11))
    assert now.win_rate == pytest.approx(7 / 8) and now.win_rate_low is not None and now.win_rate_low < 0.5
    assert now.pairs_missing is not None and 0 < now.pairs_missing < 10
    duels.draw(duel, [(0.0, 1.0)] * 10, first=12)
    now = duels.get(duel).result
    assert now is not None and now.verdict is BETTER and now.evidence > 20
    assert now.win_rate_low is not None and now.win_rate_low > 0.5 and now.pairs_missing is None
    assert now.summary.startswith("The challenger is better: it won 17 of 18 decided pairs (94%; from ")
    assert "95% confidence" in now.summary


def test_what_is_told_twice_counts_once(duels: DuelBench) -> None:
    duel = by_checker(duels)
    for _ in range(3):
        duels.draw(duel, [(0.0, 1.0)] * 5)
    now = duels.get(duel).result
    assert now is not None and (now.wins, now.losses) == (5, 0)


def test_a_duel_without_a_difference_ends_as_such(duels: DuelBench) -> None:
    duel = by_checker(duels)
    duels.draw(duel, [(0.0, 1.0), (1.0, 0.0)] * 10)
    assert duels.get(duel).result.verdict is UNDECIDED
    duels.end_job(duel)
    now = duels.get(duel).result
    assert now is not None and (now.verdict, now.pairs) == (DuelVerdict.NO_DIFFERENCE, 20)
    assert now.summary.startswith("No difference was found: it won 10 of 20 decided pairs")


def test_a_pair_that_nobody_could_score_does_not_keep_a_duel_open(duels: DuelBench) -> None:
    duel = by_checker(duels)
    duels.draw(duel, [(None, 1.0), (0.0, 0.0)])
    duels.end_job(duel)
    now = duels.get(duel).result
    assert now is not None and (now.verdict, now.wins, now.ties) == (DuelVerdict.NO_DIFFERENCE, 0, 1)
    assert now.win_rate is None and now.summary == "No difference was found: 1 tie."


def test_a_duel_whose_answers_could_not_be_drawn_has_failed_unless_it_was_decided(duels: DuelBench) -> None:
    lost, won = by_checker(duels), by_checker(duels)
    duels.draw(lost, [(0.0, 1.0)] * 3)
    duels.draw(won, [(0.0, 1.0)] * 30)
    for duel in (lost, won):
        duels.end_job(duel, "FAILED")
    assert duels.get(lost).result.verdict is DuelVerdict.FAILED
    assert duels.get(won).result.verdict is BETTER


def test_votes_decide_a_duel(duels: DuelBench) -> None:
    duel = duels.create()
    duels.draw(duel, [(None, None)] * 20)
    anna = duels.reviews.reviewer("anna")
    duels.vote(anna, duel, "wwwwe")
    now = duels.get(duel).result
    assert now is not None and (now.verdict, now.wins, now.losses, now.ties) == (UNDECIDED, 0, 4, 1)
    duels.vote(anna, duel, "wwwwwn")
    now = duels.get(duel).result
    assert now is not None and (now.verdict, now.losses, now.ties) == (WORSE, 9, 2)
    assert now.champion_score is None


def test_a_pair_is_one_observation_which_all_its_votes_make(duels: DuelBench) -> None:
    duel = duels.create(overlap=3)
    duels.draw(duel, [(None, None)] * 3)
    anna, bert, carl = (duels.reviews.reviewer(name) for name in ("anna", "bert", "carl"))
    duels.vote(anna, duel, "bbe")
    duels.vote(bert, duel, "bwe")
    assert duels.get(duel).result.wins == 0  # the third votes are still to come
    duels.vote(carl, duel, "wee")
    now = duels.get(duel).result
    assert now is not None and (now.wins, now.losses, now.ties) == (1, 0, 2)


def test_a_verdict_is_not_undone_by_asking_for_more_votes(duels: DuelBench) -> None:
    """No pair would have all its votes any more, and the gate would be open for who lost."""
    duel = duels.create()
    duels.draw(duel, [(None, None)] * 9)
    duels.vote(duels.reviews.reviewer("anna"), duel, "wwwwwwwww")
    assert duels.get(duel).result.verdict is WORSE
    caller = duels.reviews.caller("UpdateReview")
    with pytest.raises(WrongState, match="is held for projects/own/duels/.*; begin another duel"):
        update_review(duels.bench.house, caller=caller, name=duel.review, overlap=2)
    assert update_review(duels.bench.house, caller=caller, name=duel.review, overlap=1, guidelines="New.").overlap == 1
    assert duels.get(duel).result.verdict is WORSE


def test_who_closes_the_review_takes_the_votes_that_there_are(duels: DuelBench) -> None:
    duel = duels.create(overlap=2)
    duels.draw(duel, [(None, None)] * 3)
    duels.vote(duels.reviews.reviewer("anna"), duel, "bb")
    assert duels.get(duel).result.wins == 0
    caller = duels.reviews.caller("UpdateReview")
    update_review(duels.bench.house, caller=caller, name=duel.review, closed=True, request=RequestKey())
    now = duels.get(duel).result
    assert now is not None and (now.wins, now.verdict) == (2, DuelVerdict.NO_DIFFERENCE)


def test_votes_that_were_taken_back_or_retracted_do_not_count(duels: DuelBench) -> None:
    duel = duels.create()
    duels.draw(duel, [(None, None)] * 9)
    anna = duels.reviews.reviewer("anna")
    duels.vote(anna, duel, "bbbbbbbbb")
    assert duels.get(duel).result.verdict is BETTER
    votes = duels.reviews.ledger(duels.review(duel))
    duels.reviews.undo(anna, votes[0])
    with duels.bench.house.storage.write() as uow:
        from services.domain.reviews import VoteState

        retracted, time = VoteState.RETRACTED, uow.now()
        uow.votes.change(votes[1].uid, state=retracted, actor="somebody", reason="spam", time=time)
        uow.commit()
    now = duels.get(duel).result
    assert now is not None and (now.verdict, now.wins) == (UNDECIDED, 7)


def test_equal_answers_are_ties_that_nobody_is_shown(duels: DuelBench) -> None:
    duel = duels.create()
    duels.draw_same(duel, 1)
    duels.draw(duel, [(None, None)], first=2)
    duels.end_job(duel)
    assert duels.get(duel).result.verdict is UNDECIDED
    duels.vote(duels.reviews.reviewer("anna"), duel, "b")
    now = duels.get(duel).result
    assert now is not None and (now.wins, now.ties, now.pairs) == (1, 1, 2)
    assert now.verdict is DuelVerdict.NO_DIFFERENCE


def test_duels_are_listed_with_what_they_say_newest_first(duels: DuelBench) -> None:
    made = [by_checker(duels, duel_id=f"d{number}") for number in range(3)]
    duels.draw(made[0], [(0.0, 1.0)] * 9)
    house, caller = duels.bench.house, duels.bench.caller
    first, token = list_duels(house, caller=caller, parent="projects/-", page=PageRequest(size=2))
    rest, end = list_duels(house, caller=caller, parent="projects/-", page=PageRequest(size=2, token=token))
    assert [each.id for each in (*first, *rest)] == ["d2", "d1", "d0"] and end == ""
    assert rest[0].result is not None and rest[0].result.verdict is BETTER
