"""A review with reviewers on a bench, and short words for what they do."""

import dataclasses
import datetime
import hashlib
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from services.domain.answers import AnswersDrawn, Candidate, Prompt
from services.domain.datasets import Dataset, DatasetFormat, DatasetSplit, DatasetState, RowKind, RowStatistics
from services.domain.drawing import DrawDraft
from services.domain.judgements import Judgement, Verdict
from services.domain.projects import ApiKey, Caller, Role
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.review_resolution import ReviewDraft
from services.domain.reviews import Review, ReviewItem, Seat, Vote
from services.ports import House
from services.reviews.create_review import create_review
from services.reviews.skip_seat import skip_seat
from services.reviews.submit_vote import submit_vote
from services.reviews.take_seats import take_seats
from services.reviews.undo_vote import undo_vote
from services.storage.tables.jobs import job as job_table
from services.storage.tables.reviews import seat as seat_table
from tests.support.houses import A_TIME, Bench

FIRST = Judgement(verdict=Verdict.PREFERS, preferred=0)
SECOND = Judgement(verdict=Verdict.PREFERS, preferred=1)
PROMPTS = b'{"prompt":"Once"}\n' * 100


class FairChance:
    """Uids that are new, and dice that fall anew each time, the same way in each test."""

    def __init__(self, *, name: str = "chance") -> None:
        self._name = name
        self._count = 0

    def uid(self) -> str:
        """Return the next UUID."""
        digits = self._draw().hex()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"

    def seed(self) -> int:
        """Return the next seed."""
        return int.from_bytes(self._draw()[:4], "big")

    def jitter(self) -> float:
        """Return the middle."""
        return 0.0

    def _draw(self) -> bytes:
        self._count += 1
        return hashlib.sha256(f"{self._name} {self._count}".encode()).digest()


@dataclasses.dataclass(frozen=True)
class ReviewBench:
    """A bench with a model, prompts and reviewers."""

    bench: Bench
    prompts: Dataset
    model: str

    @property
    def house(self) -> House:
        """The house."""
        return self.bench.house

    def caller(self, rpc: str, *, by: Caller | None = None) -> Caller:
        """Return a caller in a method of reviews."""
        return dataclasses.replace(by or self.bench.caller, method=f"tutelage.v1.Reviews/{rpc}")

    def reviewer(self, name: str, *, role: Role = Role.REVIEWER) -> Caller:
        """Add a key that reviews, and return its caller."""
        key = ApiKey(
            id=f"{name}000000000000"[:12], project_id=self.bench.caller.project_id, role=role, create_time=A_TIME
        )
        with self.house.storage.write() as uow:
            if uow.api_keys.find(key.project_id, key.id) is None:
                uow.api_keys.add(key, secret_hash=b"x" * 32)
            uow.commit()
        return Caller(key=key, method="tutelage.v1.Reviews/TakeSeats", request_id="call")

    def create(self, review_id: str = "helpfulness", *, samples: int = 2, **draft: Any) -> Review:
        """Create a review of pairs, unless the draft says something else."""
        draw = DrawDraft(models=(self.model,), prompts=self.prompts.name, samples=samples)
        return create_review(
            self.house,
            caller=self.caller("CreateReview"),
            parent="projects/-",
            draft=ReviewDraft(**{"draw": draw, **draft}),
            review_id=review_id,
        )

    def draw(self, review: Review, count: int, *, first: int = 1, texts: Sequence[str] = ()) -> None:
        """Let the job of a review tell the answers to so many prompts."""
        with self.house.storage.write() as uow:
            job = uow.jobs.lock_by_uid(review.job_uid)
            assert job is not None
            for number in range(first, first + count):
                uow.reviews.add_items(job, self.drawn(review, number, texts=texts))
            uow.commit()

    def drawn(self, review: Review, number: int, *, texts: Sequence[str] = ()) -> AnswersDrawn:
        """Return the answers to one prompt."""
        places = range(len(review.draw.models) * review.draw.samples)
        answers = [
            Candidate(
                text=texts[place] if texts else f"answer {place} to {number}",
                model_version=review.draw.models[place // review.draw.samples],
                seed=place,
                tokens=3,
                logprob=-1.5,
            )
            for place in places
        ]
        return AnswersDrawn(prompt_number=number, prompt=Prompt(text=f"prompt {number}"), answers=tuple(answers))

    def with_items(self, count: int, *, review_id: str = "helpfulness", **draft: Any) -> Review:
        """Create a review and draw its items."""
        review = self.create(review_id, **draft)
        self.draw(review, count)
        return review

    def end_job(self, review: Review, state: str) -> None:
        """Let the job of a review end."""
        failure = {"reason": "TRAINER_ERROR", "message": "it broke", "detail": ""} if state == "FAILED" else None
        with self.bench.storage.engine.begin() as connection:
            ended = sa.update(job_table).where(job_table.c.uid == review.job_uid)
            connection.execute(ended.values(state=state, end_time=A_TIME, failure=failure))

    def take(self, by: Caller, review: Review, *, seats: int = 1) -> tuple[Seat, ...]:
        """Take seats."""
        return take_seats(self.house, caller=self.caller("TakeSeats", by=by), name=review.name, seats=seats).seats

    def vote(
        self, by: Caller, seat: Seat, judgement: Judgement = FIRST, *, request: RequestKey = NO_REQUEST_KEY, **said: Any
    ) -> Vote:
        """Submit a vote."""
        caller = self.caller("SubmitVote", by=by)
        return submit_vote(self.house, caller=caller, name=seat.name, judgement=judgement, request=request, **said)

    def undo(self, by: Caller, vote: Vote, *, request: RequestKey = NO_REQUEST_KEY) -> Seat:
        """Take a vote back."""
        return undo_vote(self.house, caller=self.caller("UndoVote", by=by), name=vote.name, request=request)

    def skip(self, by: Caller, seat: Seat) -> None:
        """Skip a seat."""
        skip_seat(self.house, caller=self.caller("SkipSeat", by=by), name=seat.name)

    def vote_on_all(self, by: Caller, review: Review, judgement: Judgement = FIRST) -> list[Vote]:
        """Vote until nothing is left."""
        votes = []
        while seats := self.take(by, review):
            votes += [self.vote(by, seat, judgement) for seat in seats]
        return votes

    def expire(self, *seats: Seat) -> None:
        """Let the leases of seats be over, as if their time had gone by."""
        with self.bench.storage.engine.begin() as connection:
            over = sa.update(seat_table).where(seat_table.c.uid.in_([seat.uid for seat in seats]))
            connection.execute(over.values(expire_time=A_TIME))

    def ledger(self, review: Review) -> list[Vote]:
        """Return all votes of a review, withdrawn ones too, oldest first."""
        with self.house.storage.read() as uow:
            project = review.project_id
            found = uow.votes.read(project, after=0, count_max=10_000, review_uids=[review.uid], counting=False)
        return list(found)

    def items(self, review: Review) -> list[ReviewItem]:
        """Return the items of a review."""
        from services.domain.pages import Page

        with self.house.storage.read() as uow:
            return list(uow.reviews.page_items(review.uid, page=Page(size=10_000, descending=False)))


def make_review_bench(bench: Bench) -> ReviewBench:
    """Return a bench for reviews: a published model, a dataset of prompts, and dice that are fair."""
    house = dataclasses.replace(bench.house, chance=FairChance())
    bench = dataclasses.replace(bench, house=house)
    assignment = bench.started(model="chat")
    bench.complete(assignment)
    return ReviewBench(bench=bench, prompts=add_prompts(house, bench.caller.project_id), model="projects/-/models/chat")


def add_prompts(house: House, project_id: str, *, id: str = "prompts") -> Dataset:
    """Add a dataset of prompts."""
    statistics = RowStatistics(
        kind=RowKind.PROMPT,
        duplicate_rows=0,
        duplicate_examples=(),
        bytes_min=4,
        bytes_median=4,
        bytes_p95=4,
        bytes_max=4,
    )
    split = DatasetSplit(train_bytes=len(PROMPTS), validation_bytes=0, train_rows=100, validation_rows=0)
    dataset = Dataset(
        project_id=project_id,
        id=id,
        uid=house.chance.uid(),
        state=DatasetState.READY,
        format=DatasetFormat.JSONL,
        size_bytes=len(PROMPTS),
        sha256=hashlib.sha256(PROMPTS).hexdigest(),
        rows=100,
        characters=400,
        split=split,
        create_time=A_TIME,
        creator=f"projects/{project_id}/apiKeys/someone",
        filename="prompts.jsonl",
        row_statistics=statistics,
    )
    house.store.put(dataset.artifact_key, PROMPTS)
    with house.storage.write() as uow:
        uow.datasets.add(dataset)
        uow.commit()
    return dataset


def later(time: datetime.datetime, *, seconds: float) -> datetime.datetime:
    """Return a time after another."""
    return time + datetime.timedelta(seconds=seconds)
