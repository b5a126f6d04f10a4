"""The rows of a feedback set: what the votes on the answers to one prompt say together.

Pairs come from comparisons, and from answers to the same prompt of which one is good and the other bad. Labels come
from grades, and every answer that is called good is an example. A row names all votes that were weighed for it, also
those that said something else.
"""

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from services.domain.conflicts import Answer, Decision, decide
from services.domain.datasets import SignalCounts
from services.domain.feedback_sets import FreezeSettings, canonical, plain_prompt
from services.domain.limits import DERIVED_PAIRS_MAX
from services.domain.reviews import Vote, texts_of
from services.domain.signals import opinions_of, voter_of

PAIR, LABEL, EXAMPLE = "pair", "label", "example"

Question = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Verdict:
    """What was decided on a question, and from which votes."""

    decision: Decision | None
    votes: frozenset[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptRows:
    """The rows of one prompt in canonical JSON, in their order, and the texts in each of them."""

    lines: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    counts: SignalCounts
    items_left_out: int


def rows_of_prompt(votes: Iterable[Vote], *, settings: FreezeSettings) -> PromptRows:
    """Return the rows that votes on answers to the same prompt make; the order in which they come does not matter."""
    voted = sorted(votes, key=lambda vote: vote.seq)
    verdicts = _verdicts(voted, settings)
    prompt = plain_prompt(voted[0].prompt)
    rows = [{"prompt": prompt, **row} for row in _rows(verdicts)]
    ordered = sorted((row["kind"], canonical(row), place) for place, row in enumerate(rows))
    used = {vote for row in rows for vote in row["votes"]}
    kinds = collections.Counter(row["kind"] for row in rows)
    return PromptRows(
        lines=tuple(line for _, line, _ in ordered),
        texts=tuple(_texts(rows[place]) for _, _, place in ordered),
        counts=SignalCounts(pairs=kinds[PAIR], labels=kinds[LABEL], examples=kinds[EXAMPLE]),
        items_left_out=len({each.item.uid for each in voted} - {each.item.uid for each in voted if each.uid in used}),
    )


def _verdicts(voted: Sequence[Vote], settings: FreezeSettings) -> dict[Question, _Verdict]:
    """Return what is decided on each question; of what a voter says to it, the last counts."""
    said: dict[Question, dict[str, Answer]] = collections.defaultdict(dict)
    votes: dict[Question, set[str]] = collections.defaultdict(set)
    for vote in voted:
        voter = voter_of(vote)
        for opinion in opinions_of(vote.judgement, texts_of(vote.candidates), scale=settings.scale):
            said[opinion.texts][voter] = opinion.answer
            votes[opinion.texts].add(vote.uid)
    return {
        question: _Verdict(decide(list(answers.values()), policy=settings.policy), frozenset(votes[question]))
        for question, answers in said.items()
    }


def _rows(verdicts: Mapping[Question, _Verdict]) -> Iterator[dict[str, Any]]:
    graded: dict[Answer, list[str]] = collections.defaultdict(list)
    for question, verdict in sorted(verdicts.items()):
        decision = verdict.decision
        if decision is None:
            continue
        if decision.answer in (Answer.FIRST, Answer.SECOND):
            yield _pair(*_ordered(question, decision.answer), weight=decision.weight, votes=verdict.votes)
        elif decision.answer in (Answer.GOOD, Answer.BAD):
            graded[decision.answer].append(question[0])
            yield from _rows_of_grade(question[0], decision, verdict.votes)
    for good, bad in _derived(graded, verdicts):
        of_good, of_bad = verdicts[good,], verdicts[bad,]
        assert of_good.decision is not None and of_bad.decision is not None, "both are graded"
        weight = min(of_good.decision.weight, of_bad.decision.weight)
        yield _pair(good, bad, weight=weight, votes=of_good.votes | of_bad.votes)


def _texts(row: Mapping[str, Any]) -> tuple[str, ...]:
    prompt = row["prompt"]
    turns = (prompt,) if isinstance(prompt, str) else tuple(turn[key] for turn in prompt for key in ("role", "content"))
    return (*turns, *(row[field] for field in ("chosen", "rejected", "completion") if field in row))


def _ordered(question: Question, answer: Answer) -> tuple[str, str]:
    first, second = question
    return (first, second) if answer is Answer.FIRST else (second, first)


def _derived(
    graded: Mapping[Answer, Sequence[str]], verdicts: Mapping[Question, _Verdict]
) -> Iterator[tuple[str, str]]:
    """Return pairs of a good and a bad answer that nobody has compared; of many answers, each in turn."""
    good, bad = graded[Answer.GOOD], graded[Answer.BAD]
    turns = ((turn, place) for turn in range(len(bad)) for place in range(len(good)))
    pairs = ((good[place], bad[(place + turn) % len(bad)]) for turn, place in turns)
    new = (pair for pair in pairs if tuple(sorted(pair)) not in verdicts)
    yield from itertools.islice(new, DERIVED_PAIRS_MAX)


def _rows_of_grade(text: str, decision: Decision, votes: frozenset[str]) -> Iterator[dict[str, Any]]:
    row = {"completion": text, "weight": decision.weight, "votes": sorted(votes)}
    good = decision.answer is Answer.GOOD
    yield {"kind": LABEL, "label": good, **row}
    if good and text:
        yield {"kind": EXAMPLE, **row}


def _pair(chosen: str, rejected: str, *, weight: float, votes: frozenset[str]) -> dict[str, Any]:
    return {"kind": PAIR, "chosen": chosen, "rejected": rejected, "weight": weight, "votes": sorted(votes)}
