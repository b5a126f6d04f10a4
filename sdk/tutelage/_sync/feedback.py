# Generated from tutelage/_async/feedback.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""Feedback: the ledger of votes, and the sets that are frozen from it to train on."""

import contextlib
import json
import os
import pathlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, Literal

from tutelage import _blocking as colour
from tutelage._errors import local_refusal
from tutelage._judgements import build_candidates, build_judgement, build_prompt, event_id, write_enum
from tutelage._names import feedback_set_name, review_name, vote_name
from tutelage._sync.pages import walk_pages
from tutelage._sync.transport import Transport
from tutelage._values.feedback import RetractVoteResponse, Vote
from tutelage._values.feedback_sets import FeedbackSet
from tutelage._values.lineage import Lineage
from tutelage.v1 import feedback_pb2

# The gateway lets these calls run for so long: they read every vote, or every row.
FREEZE_S = 300.0
EXPORT_S = 600.0
Format = Literal["votes", "sft", "dpo", "kto", "openai"]


class Feedback:
    """Takes feedback from applications, and makes feedback sets of votes."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def submit(
        self,
        *,
        prompt: str | Sequence[Mapping[str, str]],
        response: str | None = None,
        responses: Sequence[str] = (),
        rating: int | None = None,
        score: int | None = None,
        preferred: int | None = None,
        verdict: Literal["equal", "both_bad"] | None = None,
        strength: int | None = None,
        ranking: Sequence[int] = (),
        correction: str | None = None,
        rationale: str = "",
        model: str | Sequence[str] = "",
        source: str = "app",
        end_user: str = "",
        scripted: bool = False,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Vote:
        """Records what an application's own user thought of an answer, and returns the vote.

        `prompt` is a text, or a conversation as a list of `{"role", "content"}`. `rating` is a thumb: 1 good, -1 bad;
        `score` is a rating from 1 to 9; `correction` is a better answer. Of several `responses` one is `preferred`, or
        the `verdict` is equal or both_bad, or `ranking` holds all of them, best first; they are counted from 0.
        `model` is the version that answered, `end_user` a pseudonym. `request_id` is any text that names this event,
        such as the id of a message: the same one again returns the same vote. Raises: InvalidArgument with each wrong
        field.
        """
        texts = list(responses) or ([] if response is None else [response])
        if response is not None and responses:
            raise local_refusal("responses", "response and responses exclude each other")
        request = feedback_pb2.SubmitFeedbackRequest(
            parent="projects/-",
            prompt=build_prompt(prompt),
            candidates=build_candidates(texts, model),
            judgement=build_judgement(
                rating=rating,
                score=score,
                preferred=preferred,
                verdict=verdict,
                strength=strength,
                ranking=ranking,
                correction=correction,
                corrected=preferred or 0,
                rationale=rationale,
            ),
            source=source,
            end_user=end_user,
            scripted=scripted,
            request_id=event_id(request_id),
        )
        return Vote.from_message(self._call("SubmitFeedback", request, timeout))

    def get(self, vote: str, *, timeout: float | None = None) -> Vote:
        """Returns one vote. Raises: NotFound."""
        request = feedback_pb2.GetVoteRequest(name=vote_name(vote))
        return Vote.from_message(self._call("GetVote", request, timeout))

    def list(
        self, *, review: str = "", source: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[Vote]:
        """Yields votes, newest first: all, those of a review, or those from a source."""
        request = feedback_pb2.ListVotesRequest(
            parent="projects/-", review=review_name(review) if review else "", source=source, page_size=page_size
        )
        for message in walk_pages(self._transport, "Feedback", "ListVotes", request, timeout=timeout):
            yield Vote.from_message(message)

    def retract(
        self, vote: str | Vote, *, reason: str, request_id: str | None = None, timeout: float | None = None
    ) -> RetractVoteResponse:
        """Says that a vote must not be used any more, and returns everything that holds it already.

        It stays in the ledger; sets that will be frozen leave it out; `client.retrain` makes the next version of a
        model without it. Raises: NotFound, InvalidArgument without a reason.
        """
        name = vote if isinstance(vote, str) else vote.name
        request = feedback_pb2.RetractVoteRequest(name=vote_name(name), reason=reason, request_id=event_id(request_id))
        return RetractVoteResponse.from_message(self._call("RetractVote", request, timeout))

    def trace(self, vote: str | Vote, *, timeout: float | None = None) -> Lineage:
        """Returns where a vote went: feedback sets, jobs, model versions. Raises: NotFound."""
        request = feedback_pb2.TraceVoteRequest(name=vote_name(vote if isinstance(vote, str) else vote.name))
        return Lineage.from_message(self._call("TraceVote", request, timeout))

    def freeze(
        self,
        reviews: str | Sequence[str] = (),
        *,
        name: str = "",
        sources: str | Sequence[str] = (),
        policy: Literal["majority", "unanimous", "weighted"] | None = None,
        validation_share: float | None = None,
        good_rating: int | None = None,
        bad_rating: int | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> FeedbackSet:
        """Makes a feedback set of the votes that count now: those of reviews, those of applications, or both.

        `policy` says how votes that disagree become one (default: what most say), `validation_share` which share of
        the prompts is kept for validation (default 0.1), `good_rating` and `bad_rating` from where ratings count as
        good (default 7) and up to where as bad (3). Raises: FailedPrecondition without a usable vote, AlreadyExists for
        the name, which datasets and feedback sets share.
        """
        given = [reviews] if isinstance(reviews, str) else list(reviews)
        request = feedback_pb2.FreezeFeedbackRequest(
            parent="projects/-",
            feedback_set_id=name,
            reviews=[review_name(review) for review in given],
            sources=[sources] if isinstance(sources, str) else list(sources),
            policy=write_enum(feedback_pb2.ConflictPolicy, policy, field="policy"),  # type: ignore[arg-type]
            validation_share=validation_share,
            good_rating=good_rating,
            bad_rating=bad_rating,
            request_id=event_id(request_id),
        )
        limit_s = FREEZE_S if timeout is None else timeout
        return FeedbackSet.from_message(self._call("FreezeFeedback", request, limit_s))

    def get_set(self, feedback_set: str, *, timeout: float | None = None) -> FeedbackSet:
        """Returns one feedback set. Raises: NotFound."""
        request = feedback_pb2.GetFeedbackSetRequest(name=feedback_set_name(feedback_set))
        return FeedbackSet.from_message(self._call("GetFeedbackSet", request, timeout))

    def list_sets(self, *, page_size: int = 0, timeout: float | None = None) -> Iterator[FeedbackSet]:
        """Yields feedback sets, newest first."""
        request = feedback_pb2.ListFeedbackSetsRequest(parent="projects/-", page_size=page_size)
        for message in walk_pages(self._transport, "Feedback", "ListFeedbackSets", request, timeout=timeout):
            yield FeedbackSet.from_message(message)

    def export(
        self,
        feedback_set: str,
        to: str | os.PathLike[str],
        *,
        format: Format = "dpo",
        overwrite: bool = False,
        timeout: float | None = None,
    ) -> pathlib.Path:
        """Writes the rows of a set to a file that other tools read, and returns its path.

        `format` is `sft`, `dpo`, `kto` (the columns of TRL), `openai`, or `votes`: a row a vote, reviewers by
        pseudonyms. The file gets its name when it is whole. Raises: NotFound, FileExistsError unless `overwrite`.
        """
        path = pathlib.Path(to)
        if not overwrite and colour.in_thread(path.exists):
            raise FileExistsError(f"{path} is there already; set overwrite to replace it")
        partial = path.with_name(f"{path.name}.part")
        with partial.open("wb") as file:
            pieces = self._pieces(feedback_set, format, timeout)
            with contextlib.closing(pieces):
                for data in pieces:
                    colour.in_thread(file.write, data)
        partial.replace(path)
        return path

    def rows(
        self, feedback_set: str, *, format: Format = "dpo", timeout: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yields the rows of a set; formats and errors are those of `export`."""
        rest = b""
        pieces = self._pieces(feedback_set, format, timeout)
        with contextlib.closing(pieces):
            for data in pieces:
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield json.loads(line)

    def _pieces(self, feedback_set: str, format: str, timeout: float | None) -> Generator[bytes, None]:
        request = feedback_pb2.ExportFeedbackSetRequest(
            name=feedback_set_name(feedback_set),
            format=write_enum(feedback_pb2.FeedbackFormat, format, field="format"),  # type: ignore[arg-type]
        )
        limit_s = EXPORT_S if timeout is None else timeout
        messages = self._transport.stream("Feedback", "ExportFeedbackSet", request, timeout=limit_s)
        with contextlib.closing(messages):
            for message in messages:
                yield message.data

    def _call(self, method: str, request: Any, timeout: float | None) -> Any:
        return self._transport.call("Feedback", method, request, timeout=timeout)
