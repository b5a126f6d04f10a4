"""From votes to rows: what a vote says, how disagreement ends, and that the same votes make the same bytes."""

import datetime
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.answers import Candidate, ChatMessage, Prompt
from services.domain.conflicts import Answer, ConflictPolicy, decide
from services.domain.errors import InvalidField
from services.domain.feedback_rows import PromptRows, rows_of_prompt
from services.domain.feedback_sets import (
    FreezeSettings,
    canonical,
    check_settings,
    held_out_count,
    is_held_out,
    prompt_sha256,
)
from services.domain.judgements import Correction, Judgement, Thumb, Verdict, in_item_order, in_shown_order
from services.domain.limits import DERIVED_PAIRS_MAX
from services.domain.reviews import ReviewItem, Vote, VoteState
from services.domain.signals import Opinion, Scale, opinions_of

PROMPT = Prompt(text="Why is the sky blue?")


def ballot(number: int = 1, *candidates: str, end_user: str = "", reviewer: str = "", **judgement: Any) -> Vote:
    """Return a vote: of a reviewer, or of an application's user if there is an end user or a reviewer `app`."""
    return a_vote(
        number,
        candidates or ("short", "long"),
        Judgement(**judgement),
        reviewer=reviewer or f"reviewer-{number}",
        end_user=end_user,
        reviewed=reviewer != "app",
    )


def a_vote(
    number: int,
    candidates: Sequence[str],
    judgement: Judgement,
    *,
    reviewer: str,
    end_user: str = "",
    reviewed: bool = True,
) -> Vote:
    item = ReviewItem(
        uid=f"item-{candidates}",
        project_id="own",
        prompt=PROMPT,
        candidates=tuple(Candidate(text=text) for text in candidates),
        review_uid="review" if reviewed else None,
    )
    return Vote(
        uid=f"vote-{number}",
        seq=number,
        item=item,
        reviewer=reviewer,
        end_user=end_user,
        state=VoteState.SUBMITTED,
        judgement=judgement,
        shown_order=tuple(range(len(candidates))),
        create_time=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    )


def rows(*ballots: Vote, **settings: Any) -> list[dict[str, Any]]:
    return parsed(rows_of_prompt(ballots, settings=FreezeSettings(**settings)))


def parsed(found: PromptRows) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found.lines]


def of_kind(kind: str, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in found if row["kind"] == kind]


def prefers(better: int, number: int = 1, *candidates: str, **also: Any) -> Vote:
    return ballot(number, *candidates, verdict=Verdict.PREFERS, preferred=better, **also)


def test_a_preference_becomes_a_pair_with_its_vote() -> None:
    assert rows(prefers(1)) == [
        {
            "kind": "pair",
            "prompt": "Why is the sky blue?",
            "chosen": "long",
            "rejected": "short",
            "weight": 1.0,
            "votes": ["vote-1"],
        }
    ]


def test_equal_candidates_leave_nothing_and_are_counted() -> None:
    found = rows_of_prompt([ballot(verdict=Verdict.EQUAL)], settings=FreezeSettings())
    assert (found.lines, found.items_left_out) == ((), 1)


def test_both_bad_become_two_false_labels_and_no_pair() -> None:
    found = rows(ballot(verdict=Verdict.BOTH_BAD))
    assert [(row["completion"], row["label"]) for row in found] == [("long", False), ("short", False)]
    assert {row["kind"] for row in found} == {"label"}


def test_a_correction_becomes_every_signal_that_it_can() -> None:
    found = rows(ballot(1, "bleu", correction=Correction(text="blue")))
    assert [row["kind"] for row in found] == ["example", "label", "label", "pair"]
    assert {row["completion"]: row["label"] for row in of_kind("label", found)} == {"bleu": False, "blue": True}
    (pair,) = of_kind("pair", found)
    assert (pair["chosen"], pair["rejected"]) == ("blue", "bleu")
    assert of_kind("example", found)[0]["completion"] == "blue"


def test_an_explicit_thumb_counts_more_than_what_a_correction_implies() -> None:
    found = rows(ballot(1, "good", thumb=Thumb.UP, correction=Correction(text="better")))
    assert [(row["completion"], row["label"]) for row in of_kind("label", found)] == [("better", True), ("good", True)]
    assert [(row["chosen"], row["rejected"]) for row in of_kind("pair", found)] == [("better", "good")]


@pytest.mark.parametrize(
    ("rating", "kinds"), [(9, ["example", "label"]), (7, ["example", "label"]), (5, []), (3, ["label"])]
)
def test_a_rating_is_good_bad_or_nothing(rating: int, kinds: list[str]) -> None:
    assert [row["kind"] for row in rows(ballot(1, "text", rating=rating))] == kinds


def test_the_bounds_of_good_and_bad_can_be_chosen() -> None:
    scale = Scale(good_rating=9, bad_rating=1)
    assert rows(ballot(1, "text", rating=7), scale=scale) == []
    assert rows(ballot(1, "text", rating=1), scale=scale)[0]["label"] is False


def test_a_good_and_a_bad_answer_to_the_same_prompt_become_a_pair() -> None:
    found = rows(ballot(1, "good", thumb=Thumb.UP), ballot(2, "bad", rating=1))
    (pair,) = of_kind("pair", found)
    assert (pair["chosen"], pair["rejected"], pair["votes"]) == ("good", "bad", ["vote-1", "vote-2"])


def test_no_pair_is_derived_where_people_have_compared() -> None:
    """The comparison says that they are equal: that counts more than two grades of one answer each."""
    graded = [ballot(1, "good", thumb=Thumb.UP), ballot(2, "bad", thumb=Thumb.DOWN)]
    assert of_kind("pair", rows(*graded, ballot(3, "good", "bad", verdict=Verdict.EQUAL))) == []


def test_many_good_and_bad_answers_make_a_bounded_number_of_pairs_in_which_each_has_a_turn() -> None:
    ups = [ballot(number, f"good {number}", thumb=Thumb.UP) for number in range(1, 41)]
    downs = [ballot(number + 100, f"bad {number}", thumb=Thumb.DOWN) for number in range(40)]
    pairs = of_kind("pair", rows(*ups, *downs))
    assert len(pairs) == DERIVED_PAIRS_MAX
    assert len({row["chosen"] for row in pairs}) == len({row["rejected"] for row in pairs}) == 40


def test_a_ranking_becomes_all_its_pairs() -> None:
    found = rows(ballot(1, "a", "b", "c", ranking=(2, 0, 1)))
    assert {(row["chosen"], row["rejected"]) for row in found} == {("c", "a"), ("c", "b"), ("a", "b")}


def test_an_empty_answer_may_be_rejected_but_is_no_example() -> None:
    assert rows(prefers(1, 1, "", "text"))[0]["rejected"] == ""
    assert of_kind("example", rows(ballot(1, "", thumb=Thumb.UP))) == []


def test_candidates_that_are_the_same_text_are_never_a_pair() -> None:
    assert rows(prefers(1, 1, "same", "same")) == []


def test_of_what_one_voter_says_twice_the_last_counts() -> None:
    earlier = ballot(1, "text", thumb=Thumb.UP, end_user="u", reviewer="app")
    later = ballot(2, "text", thumb=Thumb.DOWN, end_user="u", reviewer="app")
    (label,) = rows(later, earlier)
    assert (label["label"], label["votes"]) == (False, ["vote-1", "vote-2"])


def test_users_without_a_name_are_several() -> None:
    up = [ballot(number, "text", thumb=Thumb.UP, reviewer="app") for number in (1, 2, 3)]
    down = ballot(4, "text", thumb=Thumb.DOWN, reviewer="app")
    label = of_kind("label", rows(*up, down, policy=ConflictPolicy.WEIGHTED))[0]
    assert (label["label"], label["weight"]) == (True, 0.5)


def test_the_same_texts_are_one_question_whichever_item_and_order_they_came_in() -> None:
    found = rows(prefers(0, 1, "a", "b"), prefers(1, 2, "b", "a"), prefers(0, 3, "b", "a"))
    assert [(row["chosen"], row["votes"]) for row in found] == [("a", ["vote-1", "vote-2", "vote-3"])]


@pytest.mark.parametrize(
    ("answers", "policy", "expected"),
    [
        ("FIRST FIRST SECOND", "MAJORITY", ("FIRST", 1.0)),
        ("FIRST SECOND", "MAJORITY", None),
        ("FIRST EQUAL", "MAJORITY", None),
        ("FIRST FIRST EQUAL SECOND", "MAJORITY", ("FIRST", 1.0)),
        ("FIRST FIRST SECOND", "UNANIMOUS", None),
        ("FIRST FIRST", "UNANIMOUS", ("FIRST", 1.0)),
        ("FIRST FIRST SECOND", "WEIGHTED", ("FIRST", 0.333333)),
        ("FIRST FIRST FIRST", "WEIGHTED", ("FIRST", 1.0)),
        ("GOOD BETWEEN BETWEEN", "WEIGHTED", ("BETWEEN", 0.333333)),
        ("GOOD BAD", "WEIGHTED", None),
    ],
)
def test_a_policy_decides(answers: str, policy: str, expected: tuple[str, float] | None) -> None:
    decision = decide([Answer(word) for word in answers.split()], policy=ConflictPolicy(policy))
    assert (decision and (decision.answer.value, decision.weight)) == expected


ANSWERS = st.lists(
    st.sampled_from([Answer.FIRST, Answer.SECOND, Answer.EQUAL, Answer.BOTH_BAD]), min_size=1, max_size=12
)


@given(answers=ANSWERS, policy=st.sampled_from(ConflictPolicy), seed=st.integers())
def test_a_decision_does_not_depend_on_the_order_of_votes(
    answers: list[Answer], policy: ConflictPolicy, seed: int
) -> None:
    shuffled = random.Random(seed).sample(answers, len(answers))
    decision = decide(answers, policy=policy)
    assert decide(shuffled, policy=policy) == decision
    if decision is not None:
        assert 0 < decision.weight <= 1
        others = (answers.count(other) for other in Answer if other is not decision.answer)
        assert answers.count(decision.answer) > max(others)


TEXTS = st.text('ab\n"\\é\u2028', max_size=4)


@st.composite
def judged(draw: st.DrawFn) -> tuple[tuple[str, ...], Judgement]:
    """Return candidates and a judgement that may be said of them."""
    candidates = tuple(draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True)))
    values: dict[str, Any] = {}
    if len(candidates) == 1:
        values["thumb"] = draw(st.none() | st.sampled_from(Thumb))
        values["rating"] = draw(st.none() | st.integers(1, 9))
    elif len(candidates) == 2:
        values["verdict"] = draw(st.sampled_from(Verdict))
        values["preferred"] = draw(st.integers(0, 1)) if values["verdict"] is Verdict.PREFERS else None
    else:
        values["ranking"] = tuple(draw(st.permutations(range(len(candidates)))))
    if draw(st.booleans()):
        values["correction"] = Correction(
            text=draw(st.text("cd", min_size=1, max_size=2)), candidate=draw(st.integers(0, len(candidates) - 1))
        )
    return candidates, Judgement(**values)


@given(said=judged(), data=st.data())
def test_what_was_shown_in_another_order_says_the_same_of_the_same_texts(
    said: tuple[tuple[str, ...], Judgement], data: st.DataObject
) -> None:
    candidates, judgement = said
    order = data.draw(st.permutations(range(len(candidates))))
    shown = tuple(candidates[number] for number in order)
    seen = in_shown_order(judgement, order)
    told = set(opinions_of(seen, shown, scale=Scale()))
    assert told == set(opinions_of(judgement, candidates, scale=Scale()))
    assert told == set(opinions_of(in_item_order(seen, order), candidates, scale=Scale()))


def test_a_swapped_choice_is_the_right_chosen_and_rejected() -> None:
    """The reviewer saw the second candidate first, and took what they saw first."""
    judgement = in_item_order(Judgement(verdict=Verdict.PREFERS, preferred=0), (1, 0))
    assert opinions_of(judgement, ("x", "y"), scale=Scale()) == (Opinion(("x", "y"), Answer.SECOND),)


VOTES = st.lists(st.tuples(judged(), st.integers(0, 3), st.booleans()), min_size=1, max_size=8)


def ballots_of(votes: list[tuple[tuple[tuple[str, ...], Judgement], int, bool]]) -> list[Vote]:
    return [
        a_vote(place, candidates, judgement, reviewer=f"reviewer-{voter}", reviewed=reviewed)
        for place, ((candidates, judgement), voter, reviewed) in enumerate(votes)
    ]


@given(votes=VOTES, policy=st.sampled_from(ConflictPolicy), seed=st.integers())
def test_the_order_of_votes_in_memory_never_changes_the_rows(votes: Any, policy: ConflictPolicy, seed: int) -> None:
    ballots = ballots_of(votes)
    settings = FreezeSettings(policy=policy)
    expected = rows_of_prompt(ballots, settings=settings)
    assert rows_of_prompt(random.Random(seed).sample(ballots, len(ballots)), settings=settings) == expected


@given(votes=VOTES, policy=st.sampled_from(ConflictPolicy))
def test_rows_agree_with_one_another_and_name_known_votes(votes: Any, policy: ConflictPolicy) -> None:
    ballots = ballots_of(votes)
    settings = FreezeSettings(policy=policy)
    found = rows_of_prompt(ballots, settings=settings)
    made = parsed(found)
    pairs = {(row["chosen"], row["rejected"]) for row in of_kind("pair", made)}
    assert not pairs & {(rejected, chosen) for chosen, rejected in pairs}
    assert all(chosen != rejected for chosen, rejected in pairs)
    labels = {row["completion"]: row["label"] for row in of_kind("label", made)}
    assert len(labels) == len(of_kind("label", made)), "one label an answer"
    assert {row["completion"] for row in of_kind("example", made)} == {
        text for text, good in labels.items() if good and text
    }
    assert all(row["votes"] and set(row["votes"]) <= {each.uid for each in ballots} for row in made)
    assert found.counts.rows == len(made)
    assert all("\n" not in line for line in found.lines)


PROMPTS = st.builds(Prompt, text=TEXTS) | st.builds(
    Prompt,
    messages=st.lists(
        st.builds(ChatMessage, role=st.sampled_from(["user", "assistant"]), content=TEXTS), min_size=1, max_size=3
    ).map(tuple),
)


@given(prompts=st.lists(PROMPTS, max_size=30), share=st.floats(0, 0.5), seed=st.integers())
def test_no_prompt_is_on_both_sides_and_its_side_does_not_depend_on_order(
    prompts: list[Prompt], share: float, seed: int
) -> None:
    hashes = [prompt_sha256(prompt) for prompt in prompts]
    out = held_out(hashes, share=share)
    assert held_out(random.Random(seed).sample(hashes, len(hashes)), share=share) == out
    if len(set(hashes)) > 1:
        assert len(out) < len(set(hashes)), "something is left to train on"
        assert bool(out) == (share > 0)
    else:
        assert not out


def held_out(hashes: Sequence[str], *, share: float) -> set[str]:
    known = sorted(set(hashes))
    return set(known[: held_out_count(known, share=share)])


def test_a_prompt_that_is_held_out_stays_so_as_others_come() -> None:
    hashes = [prompt_sha256(Prompt(text=str(number))) for number in range(2000)]
    early, late = held_out(hashes[:1000], share=0.1), held_out(hashes, share=0.1)
    assert early == late & set(hashes[:1000])
    assert 150 < len(late) < 250
    assert late == {each for each in hashes if is_held_out(each, share=0.1)}


def test_a_text_and_a_conversation_of_the_same_words_are_two_prompts() -> None:
    chat = Prompt(messages=(ChatMessage(role="user", content="hello"),))
    assert prompt_sha256(chat) != prompt_sha256(Prompt(text="hello"))


def test_the_canonical_form_is_written_as_it_is_promised() -> None:
    assert canonical({"b": "é\u2028", "a": [1.0, True]}) == '{"a":[1.0,true],"b":"é\u2028"}'


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"validation_share": 0.6}, "validation_share"),
        ({"validation_share": float("nan")}, "validation_share"),
        ({"validation_share": -0.1}, "validation_share"),
        ({"scale": Scale(good_rating=10)}, "good_rating"),
        ({"scale": Scale(good_rating=1, bad_rating=0)}, "bad_rating"),
        ({"scale": Scale(good_rating=5, bad_rating=5)}, "bad_rating"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check_settings(FreezeSettings(**settings))
    assert field in [each.field for each in refused.value.violations]


@given(share=st.floats(0, 0.5), policy=st.sampled_from(ConflictPolicy))
def test_settings_come_back_from_plain_values(share: float, policy: ConflictPolicy) -> None:
    settings = FreezeSettings(policy=policy, validation_share=share, scale=Scale(good_rating=8, bad_rating=2))
    assert FreezeSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
