"""What a review takes as a judgement, and what it says of one that it does not take."""

import pytest

from services.domain.answer_checks import candidate_violations, prompt_violations
from services.domain.answers import Candidate, ChatMessage, Prompt
from services.domain.errors import InvalidField
from services.domain.judgements import (
    Correction,
    DiscardReason,
    Judgement,
    ReviewKind,
    Thumb,
    Verdict,
    check_judgement,
    in_item_order,
    in_shown_order,
    judgement_violations,
    kind_of_candidates,
)

PAIR, SINGLE, RANKING = ReviewKind.PAIR, ReviewKind.SINGLE, ReviewKind.RANKING
TEXTS = {PAIR: ("yes", "no"), SINGLE: ("yes",), RANKING: ("a", "b", "c")}
A_CHOICE = Judgement(verdict=Verdict.PREFERS, preferred=0)


def wrong(judgement: Judgement, kind: ReviewKind = PAIR, *, complete: bool = True) -> dict[str, str]:
    found = judgement_violations(
        judgement, kind=kind, candidates=TEXTS[kind], rubric=("helpful", "true"), complete=complete
    )
    return {each.field: each.description for each in found}


@pytest.mark.parametrize(
    ("kind", "judgement"),
    [
        (PAIR, Judgement(verdict=Verdict.PREFERS, preferred=1, strength=4, rationale="clearer\nand shorter")),
        (PAIR, Judgement(verdict=Verdict.EQUAL, rubric={"helpful": 9, "true": 1})),
        (PAIR, Judgement(verdict=Verdict.BOTH_BAD, correction=Correction(candidate=1, text="perhaps"))),
        (PAIR, Judgement(discard=DiscardReason.LANGUAGE, rationale="it is Finnish")),
        (SINGLE, Judgement(thumb=Thumb.DOWN)),
        (SINGLE, Judgement(rating=9, thumb=Thumb.UP)),
        (SINGLE, Judgement(correction=Correction(text="no"))),
        (RANKING, Judgement(ranking=(2, 0, 1))),
    ],
)
def test_good_judgements_are_taken(kind: ReviewKind, judgement: Judgement) -> None:
    assert wrong(judgement, kind) == {}


@pytest.mark.parametrize(
    ("kind", "judgement", "field"),
    [
        (PAIR, Judgement(), "verdict"),
        (PAIR, Judgement(verdict=Verdict.PREFERS), "preferred"),
        (PAIR, Judgement(verdict=Verdict.PREFERS, preferred=2), "preferred"),
        (PAIR, Judgement(verdict=Verdict.PREFERS, preferred=-1), "preferred"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, preferred=0), "preferred"),
        (PAIR, Judgement(verdict=Verdict.BOTH_BAD, strength=1), "strength"),
        (PAIR, Judgement(verdict=Verdict.PREFERS, preferred=0, strength=0), "strength"),
        (PAIR, Judgement(verdict=Verdict.PREFERS, preferred=0, strength=5), "strength"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, rating=5), "rating"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, thumb=Thumb.UP), "thumb"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, ranking=(0, 1)), "ranking"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, rubric={"kind": 3}), "rubric['kind']"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, rubric={"true": 10}), "rubric['true']"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, rationale="x" * 10_001), "rationale"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, rationale="a\0b"), "rationale"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, rationale="a\x1b[2Jb"), "rationale"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, rationale="a\x9bb"), "rationale"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, rationale="a\ud800b"), "rationale"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, correction=Correction(text="")), "correction.text"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, correction=Correction(text="x" * 100_001)), "correction.text"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, correction=Correction(text="a\x00")), "correction.text"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, correction=Correction(text="b", candidate=2)), "correction.candidate"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, correction=Correction(text="b", candidate=-1)), "correction.candidate"),
        (PAIR, Judgement(verdict=Verdict.EQUAL, discard=DiscardReason.UNSAFE), "discard"),
        (SINGLE, Judgement(), "rating"),
        (SINGLE, Judgement(rating=0), "rating"),
        (SINGLE, Judgement(rating=10), "rating"),
        (SINGLE, Judgement(rating=5, verdict=Verdict.EQUAL), "verdict"),
        (RANKING, Judgement(ranking=(0, 1)), "ranking"),
        (RANKING, Judgement(ranking=(0, 1, 1)), "ranking[2]"),
        (RANKING, Judgement(ranking=(0, 1, 3)), "ranking[2]"),
        (RANKING, Judgement(ranking=(0, 1, 2, 0)), "ranking"),
        (RANKING, Judgement(ranking=(0, 1, 2), preferred=1), "preferred"),
    ],
)
def test_each_wrong_field_is_named(kind: ReviewKind, judgement: Judgement, field: str) -> None:
    assert field in wrong(judgement, kind)


def test_a_correction_equal_to_its_candidate_is_refused_with_advice() -> None:
    found = wrong(Judgement(verdict=Verdict.EQUAL, correction=Correction(text="no", candidate=1)))
    assert "leave `correction` out" in found["correction.text"]
    assert not wrong(Judgement(verdict=Verdict.EQUAL, correction=Correction(text="no", candidate=0)))


def test_all_wrong_fields_are_named_at_once_below_their_field() -> None:
    judgement = Judgement(verdict=Verdict.EQUAL, strength=9, rationale="\0")
    with pytest.raises(InvalidField) as refusal:
        check_judgement(judgement, kind=PAIR, candidates=TEXTS[PAIR], field="draft")
    assert [each.field for each in refusal.value.violations] == ["draft.rationale", "draft.strength", "draft.strength"]


@pytest.mark.parametrize(
    "judgement",
    [Judgement(), Judgement(verdict=Verdict.PREFERS), Judgement(correction=Correction(text="no", candidate=1))],
)
def test_a_draft_may_lack_anything(judgement: Judgement) -> None:
    assert wrong(judgement, complete=False) == {}
    assert wrong(judgement) != {}


def test_what_a_draft_holds_must_be_well() -> None:
    assert wrong(Judgement(rationale="\0", preferred=7), complete=False).keys() == {"rationale", "preferred"}


def test_judgements_are_turned_into_the_order_of_the_item_and_back() -> None:
    shown = Judgement(preferred=0, ranking=(2, 0, 1), correction=Correction(candidate=1, text="x"))
    kept = in_item_order(shown, (2, 0, 1))
    assert (kept.preferred, kept.ranking, kept.correction) == (2, (1, 2, 0), Correction(candidate=0, text="x"))
    assert in_shown_order(kept, (2, 0, 1)) == shown


def test_what_is_asked_follows_from_the_number_of_candidates() -> None:
    assert [kind_of_candidates(count) for count in (1, 2, 3, 10)] == [SINGLE, PAIR, RANKING, RANKING]


@pytest.mark.parametrize(
    ("prompt", "field"),
    [
        (Prompt(), "prompt"),
        (Prompt(text="a", messages=(ChatMessage(role="user", content="b"),)), "prompt"),
        (Prompt(text="a\0"), "prompt.text"),
        (Prompt(text="a" * 100_001), "prompt.text"),
        (Prompt(messages=(ChatMessage(role="robot", content="b"),)), "prompt.messages[0].role"),
        (Prompt(messages=(ChatMessage(role="user", content="\x07"),)), "prompt.messages[0].content"),
        (Prompt(messages=(ChatMessage(role="assistant", content="b"),)), "prompt.messages[0].role"),
        (Prompt(messages=(ChatMessage(role="user", content="b"),) * 101), "prompt.messages"),
    ],
)
def test_prompts_that_cannot_be_kept_are_named(prompt: Prompt, field: str) -> None:
    assert [each.field for each in prompt_violations(prompt)] == [field]


def test_prompts_and_candidates_that_can_be_kept() -> None:
    assert not prompt_violations(Prompt(text="Once\tupon\r\na time, \u202eüß 🙂"))
    assert not prompt_violations(Prompt(messages=(ChatMessage(role="user", content=""),)))
    assert not candidate_violations([Candidate(text="a"), Candidate(text="b")])


def test_candidates_that_cannot_be_kept_are_named() -> None:
    assert [each.field for each in candidate_violations([])] == ["candidates"]
    assert [each.field for each in candidate_violations([Candidate(text="a")] * 11)] == ["candidates"]
    found = candidate_violations([Candidate(text=""), Candidate(text="a"), Candidate(text="a")])
    assert [each.field for each in found] == ["candidates[0].text", "candidates[2].text"]
