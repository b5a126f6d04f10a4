"""Feedback on a bench: what applications send, and the sets that are frozen from it."""

import dataclasses
import itertools
import json
import uuid
from collections.abc import Sequence
from typing import Any

from services.domain.answers import Candidate, Prompt
from services.domain.datasets import Dataset
from services.domain.feedback_exports import FeedbackFormat
from services.domain.feedback_sets import FeedbackSet
from services.domain.judgements import Judgement, Thumb, Verdict
from services.domain.models import ModelVersion
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.domain.reviews import Vote
from services.feedback.export_feedback_set import export_feedback_set
from services.feedback.freeze_feedback import FreezeDraft, freeze_feedback
from services.feedback.retract_vote import Retraction, retract_vote
from services.feedback.submit_feedback import FeedbackDraft, submit_feedback
from services.ports import House
from tests.support.houses import Bench
from tests.support.reviews import ReviewBench
from tests.support.works import tuned

_NUMBERS = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class FeedbackBench:
    """A bench for reviews, and short words for what is done with votes."""

    reviews: ReviewBench

    @property
    def bench(self) -> Bench:
        """The bench below."""
        return self.reviews.bench

    @property
    def house(self) -> House:
        """The house."""
        return self.reviews.house

    def caller(self, rpc: str) -> Caller:
        """Return the caller in a method of feedback."""
        return dataclasses.replace(self.bench.caller, method=f"tutelage.v1.Feedback/{rpc}")

    def submit(self, prompt: str | Prompt, *candidates: str, request: RequestKey = NO_REQUEST_KEY, **said: Any) -> Vote:
        """Send feedback of an application; `said` are fields of the judgement or of the draft."""
        fields = {field.name for field in dataclasses.fields(FeedbackDraft)} & said.keys()
        values = {
            "prompt": Prompt(text=prompt) if isinstance(prompt, str) else prompt,
            "candidates": tuple(Candidate(text=text) for text in candidates),
            "judgement": Judgement(**{name: value for name, value in said.items() if name not in fields}),
            **{name: said[name] for name in fields},
        }
        draft = FeedbackDraft(parent="projects/-", **values)
        return submit_feedback(self.house, caller=self.caller("SubmitFeedback"), draft=draft, request=request)

    def prefer(self, number: int, *, better: int = 0, **said: Any) -> Vote:
        """Send a preference between two answers to the prompt with a number."""
        answers = (f"good {number}", f"bad {number}")
        return self.submit(f"prompt {number}", *answers, verdict=Verdict.PREFERS, preferred=better, **said)

    def thumb(self, number: int, *, up: bool, **said: Any) -> Vote:
        """Send a thumb for an answer to the prompt with a number."""
        return self.submit(f"prompt {number}", f"answer {number}", thumb=Thumb.UP if up else Thumb.DOWN, **said)

    def freeze(self, set_id: str = "prefs", *, request: RequestKey = NO_REQUEST_KEY, **draft: Any) -> FeedbackSet:
        """Freeze what applications sent, unless the draft says something else."""
        asked = FreezeDraft(parent="projects/-", feedback_set_id=set_id, **{"sources": ("app",), **draft})
        return freeze_feedback(self.house, caller=self.caller("FreezeFeedback"), draft=asked, request=request)

    def retract(self, vote: Vote, *, reason: str = "a mistake", request: RequestKey = NO_REQUEST_KEY) -> Retraction:
        """Retract a vote."""
        caller = self.caller("RetractVote")
        return retract_vote(self.house, caller=caller, name=vote.name, reason=reason, request=request)

    def dataset(self, of: FeedbackSet) -> Dataset:
        """Return the dataset of a set."""
        with self.house.storage.read() as uow:
            found = uow.datasets.find_by_uid(of.uid)
        assert found is not None
        return found

    def data(self, of: FeedbackSet) -> bytes:
        """Return the bytes of a set."""
        with self.house.store.open(self.dataset(of).artifact_key) as file:
            return file.read()

    def rows(self, of: FeedbackSet) -> list[dict[str, Any]]:
        """Return the rows of a set."""
        return [json.loads(line) for line in self.data(of).splitlines()]

    def members(self, of: FeedbackSet) -> list[int]:
        """Return the numbers of the votes in a set."""
        with self.house.storage.read() as uow:
            return list(uow.feedback_sets.seqs_in(of.uid))

    def exported(self, of: FeedbackSet, format: FeedbackFormat) -> list[dict[str, Any]]:
        """Return the rows of an export."""
        return [json.loads(line) for line in self.export(of, format).splitlines()]

    def export(self, of: FeedbackSet, format: FeedbackFormat) -> bytes:
        """Return the bytes of an export."""
        export = export_feedback_set(self.house, caller=self.caller("ExportFeedbackSet"), name=of.name, format=format)
        pieces = list(iter(export.read_piece, b""))
        export.close()
        return b"".join(pieces)

    def tuned(self, of: FeedbackSet | Dataset, *, base: str = "projects/-/models/chat", **draft: Any) -> ModelVersion:
        """Return a version that was tuned on a set."""
        name = of.dataset if isinstance(of, FeedbackSet) else of.name
        return tuned(self.bench, base=base, dataset=name, **draft)


def a_request(body: str = "body") -> RequestKey:
    """Return what makes a call repeatable; each time another request."""
    return RequestKey(request_id=str(uuid.UUID(int=next(_NUMBERS))), body_sha256=body)


def uids(votes: Sequence[Vote]) -> set[str]:
    """Return the uids of votes."""
    return {vote.uid for vote in votes}
