"""A duel on a bench: two versions, prompts, answers that are drawn, and reviewers who vote."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.answers import AnswersDrawn, Candidate, Prompt
from services.domain.duel_resolution import DuelDraft
from services.domain.duels import Duel
from services.domain.judgements import Judgement, Verdict
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.reviews import Review
from services.duels.create_duel import create_duel
from services.duels.get_duel import get_duel
from services.storage.tables.jobs import job as job_table
from tests.support.houses import A_TIME, Bench
from tests.support.reviews import ReviewBench, make_review_bench
from tests.support.works import published

CHAMPION = "projects/own/models/chat/versions/1"
CHALLENGER = "projects/own/models/chat/versions/2"


@dataclasses.dataclass(frozen=True)
class DuelBench:
    """A bench with two versions of a model, and prompts."""

    reviews: ReviewBench

    @property
    def bench(self) -> Bench:
        """The bench below."""
        return self.reviews.bench

    def caller(self, rpc: str = "CreateDuel") -> Caller:
        """Return the owner in a method of duels."""
        return dataclasses.replace(self.bench.caller, method=f"tutelage.v1.Duels/{rpc}")

    def create(self, duel_id: str = "", *, request: RequestKey = NO_REQUEST_KEY, **draft: Any) -> Duel:
        """Begin a duel of the second version with the first."""
        asked = {"champion": CHAMPION, "challenger": CHALLENGER, "prompts": self.reviews.prompts.name, **draft}
        return create_duel(
            self.bench.house,
            caller=self.caller(),
            parent="projects/-",
            draft=DuelDraft(**asked),
            duel_id=duel_id,
            request=request,
        )

    def get(self, duel: Duel) -> Duel:
        """Return a duel as it is now."""
        return get_duel(self.bench.house, caller=self.bench.caller, name=duel.name)

    def draw(self, duel: Duel, scores: Sequence[tuple[float | None, float | None]], *, first: int = 1) -> None:
        """Let the job tell answers, one prompt after another, with the scores of champion and challenger."""
        with self.bench.house.storage.write() as uow:
            job = uow.jobs.lock_by_uid(duel.job_uid)
            assert job is not None
            for number, pair in enumerate(scores, start=first):
                drawn = self._drawn(duel, number, pair)
                uow.reviews.add_items(job, drawn)
                uow.duels.add_pairs(job, drawn)
            uow.commit()

    def _drawn(self, duel: Duel, number: int, scores: tuple[float | None, float | None]) -> AnswersDrawn:
        sides = zip((duel.champion, duel.challenger), scores, strict=True)
        answers = [Candidate(text=f"{name} to {number}", model_version=name, score=score) for name, score in sides]
        return AnswersDrawn(prompt_number=number, prompt=Prompt(text=f"prompt {number}"), answers=tuple(answers))

    def draw_same(self, duel: Duel, number: int) -> None:
        """Let the job tell that both wrote the same."""
        answers = tuple(Candidate(text="the same", model_version=name) for name in (duel.champion, duel.challenger))
        with self.bench.house.storage.write() as uow:
            job = uow.jobs.lock_by_uid(duel.job_uid)
            assert job is not None
            drawn = AnswersDrawn(prompt_number=number, prompt=Prompt(text=f"prompt {number}"), answers=answers)
            uow.reviews.add_items(job, drawn)
            uow.duels.add_pairs(job, drawn)
            uow.commit()

    def end_job(self, duel: Duel, state: str = "SUCCEEDED") -> None:
        """Let the job of a duel end."""
        failure = {"reason": "TRAINER_ERROR", "message": "it broke", "help": ""} if state == "FAILED" else None
        with self.bench.storage.engine.begin() as connection:
            ended = sa.update(job_table).where(job_table.c.uid == duel.job_uid)
            connection.execute(ended.values(state=state, end_time=A_TIME, failure=failure))

    def review(self, duel: Duel) -> Review:
        """Return the review of a duel."""
        with self.bench.house.storage.read() as uow:
            found = uow.reviews.find(duel.project_id, duel.review_id)
        assert found is not None
        return found

    def vote(self, by: Caller, duel: Duel, votes: str) -> None:
        """Vote on the next pairs: `b` better, `w` worse, `e` equal, `n` both bad, whatever order is shown."""
        review = self.review(duel)
        for word in votes:
            (seat,) = self.reviews.take(by, review)
            self.reviews.vote(by, seat, _judgement(word, shown=seat.shown_order))


def _judgement(word: str, *, shown: Sequence[int]) -> Judgement:
    if word in "en":
        return Judgement(verdict=Verdict.EQUAL if word == "e" else Verdict.BOTH_BAD)
    wanted = 1 if word == "b" else 0
    return Judgement(verdict=Verdict.PREFERS, preferred=list(shown).index(wanted))


def make_duel_bench(bench: Bench) -> DuelBench:
    """Return a bench for duels."""
    reviews = make_review_bench(bench)
    published(reviews.bench, model="chat", job_id="second")
    return DuelBench(reviews)
