"""The stand-in's part that hands out seats, takes votes, keeps feedback and moves aliases."""

import collections
import uuid
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tutelage.v1 import (
    duels_pb2,
    feedback_pb2,
    jobs_pb2,
    lineage_pb2,
    models_pb2,
    reviews_pb2,
)

VERSION = "projects/p/models/chat/versions/{}"


def refusal(code: grpc.StatusCode, message: str, reason: str) -> Any:
    """Returns a refusal as the service sends it."""
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="tutelage"))
    return rpc_status.to_status(status_pb2.Status(code=code.value[0], message=message, details=[packed]))


class ReviewCalls:
    """Calls of the closed loop.

    `review` is the one review there is; `waiting` holds the numbers of its items that have no seat, `seats` those that
    are held; `votes` the ledger, by request id. `lost_answers` breaks the line after so many votes were taken: the
    service has them, the caller does not know.
    """

    def __init__(self) -> None:
        super().__init__()
        self.review = reviews_pb2.OpenReview(name="projects/p/reviews/helpfulness", kind=reviews_pb2.REVIEW_KIND_PAIR)
        self.waiting: collections.deque[int] = collections.deque()
        self.seats: dict[str, reviews_pb2.Seat] = {}
        self.seat_numbers: dict[str, int] = {}
        self.votes: dict[str, feedback_pb2.Vote] = {}
        self.undone: dict[str, reviews_pb2.Seat] = {}
        self.drafts: dict[str, feedback_pb2.Judgement] = {}
        self.lost_answers = 0
        self.duel = duels_pb2.Duel()

    def add_items(self, count: int) -> None:
        """Gives the review items 1, 2, 3 …"""
        self.waiting.extend(range(1, count + 1))

    def standing(self) -> dict[int, feedback_pb2.Vote]:
        """Returns the votes that count, by item. Raises: AssertionError for an item with two."""
        found: dict[int, feedback_pb2.Vote] = {}
        for vote in self.votes.values():
            number = int(vote.item.rsplit("/")[-1])
            if vote.state != feedback_pb2.VOTE_STATE_WITHDRAWN:
                assert number not in found, f"item {number} has two votes"
                found[number] = vote
        return found

    def CreateReview(self, request: Any, context: Any) -> reviews_pb2.Review:  # noqa: N802
        review = request.review
        review.name = f"projects/p/reviews/{request.review_id or 'made'}"
        review.job, review.state = "projects/p/jobs/drawing", reviews_pb2.REVIEW_STATE_DRAWING
        return review

    def GetReview(self, request: Any, context: Any) -> reviews_pb2.Review:  # noqa: N802
        review = reviews_pb2.Review(
            name=self.review.name, kind=self.review.kind, overlap=2, guidelines="be kind\x1b[2J"
        )
        review.draw.models.append(VERSION.format(3))
        review.progress.items, review.progress.items_done = 10, 4
        review.progress.votes, review.progress.votes_wanted, review.progress.reviewers = 9, 11, 2
        return review

    def ListReviews(self, request: Any, context: Any) -> reviews_pb2.ListReviewsResponse:  # noqa: N802
        return reviews_pb2.ListReviewsResponse(reviews=[self.GetReview(request, context)])

    def UpdateReview(self, request: Any, context: Any) -> reviews_pb2.Review:  # noqa: N802
        review = self.GetReview(request, context)
        review.state = reviews_pb2.REVIEW_STATE_CLOSED if request.closed else reviews_pb2.REVIEW_STATE_OPEN
        return review

    def GetReviewStats(self, request: Any, context: Any) -> reviews_pb2.ReviewStats:  # noqa: N802
        stats = reviews_pb2.ReviewStats(cohen_kappa=0.71, raw_agreement=0.85, gold_accuracy=0.9)
        stats.progress.CopyFrom(self.GetReview(request, context).progress)
        stats.krippendorff_alpha.value, stats.krippendorff_alpha.low, stats.krippendorff_alpha.high = 0.72, 0.6, 0.81
        for number, wins in ((4, 30.5), (3, 13.5)):
            version = stats.versions.add(model_version=VERSION.format(number), wins=wins, comparisons=44)
            version.win_rate.value, version.win_rate.low, version.win_rate.high = wins / 44, wins / 44 - 0.1, 0.9
            version.strength.value = 0.4
        stats.first_share.value, stats.first_share.low, stats.first_share.high = 0.52, 0.44, 0.6
        stats.longer_share.value, stats.longer_share.low, stats.longer_share.high = 0.7, 0.61, 0.78
        stats.reviewers.add(reviewer="projects/p/apiKeys/rev1", votes=9, gold_accuracy=0.9, gold_votes=3)
        return stats

    def ListReviewItems(self, request: Any, context: Any) -> reviews_pb2.ListReviewItemsResponse:  # noqa: N802
        return reviews_pb2.ListReviewItemsResponse(items=[self._item(number) for number in (1, 2)])

    def SetGoldAnswer(self, request: Any, context: Any) -> reviews_pb2.ReviewItem:  # noqa: N802
        item = self._item(int(request.name.rsplit("/")[-1]))
        if request.HasField("gold"):
            item.gold.CopyFrom(request.gold)
        return item

    def ListOpenReviews(self, request: Any, context: Any) -> reviews_pb2.ListOpenReviewsResponse:  # noqa: N802
        self.review.items_left = len(self.waiting) + len(self.seats)
        return reviews_pb2.ListOpenReviewsResponse(reviews=[self.review])

    def TakeSeats(self, request: Any, context: Any) -> reviews_pb2.TakeSeatsResponse:  # noqa: N802
        while len(self.seats) < (request.seats or 1) and self.waiting:
            self._seat(self.waiting.popleft())
        return reviews_pb2.TakeSeatsResponse(seats=self.seats.values(), items_left=len(self.seats) + len(self.waiting))

    def SubmitVote(self, request: Any, context: Any) -> feedback_pb2.Vote:  # noqa: N802
        if request.request_id not in self.votes:
            if request.name not in self.seats:
                context.abort_with_status(
                    refusal(grpc.StatusCode.FAILED_PRECONDITION, "somebody else has the seat", "SEAT_LOST")
                )
            discarded = request.judgement.discard
            vote = feedback_pb2.Vote(
                name=f"projects/p/votes/v{len(self.votes) + 1}",
                item=f"{self.review.name}/items/{self.seat_numbers[request.name]}",
                state=feedback_pb2.VOTE_STATE_DISCARDED if discarded else feedback_pb2.VOTE_STATE_SUBMITTED,
                judgement=request.judgement,
                scripted=request.scripted,
                active_seconds=request.active_seconds,
            )
            vote.prompt.CopyFrom(self.seats[request.name].prompt)
            vote.candidates.extend(feedback_pb2.Candidate(text=text) for text in self.seats[request.name].candidates)
            del self.seats[request.name]
            self.votes[request.request_id] = vote
            if self.lost_answers:
                self.lost_answers -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "the line is cut")
        return self.votes[request.request_id]

    def UndoVote(self, request: Any, context: Any) -> reviews_pb2.Seat:  # noqa: N802
        if request.request_id not in self.undone:
            vote = next(vote for vote in self.votes.values() if vote.name == request.name)
            vote.state = feedback_pb2.VOTE_STATE_WITHDRAWN
            seat = self._seat(int(vote.item.rsplit("/")[-1]))
            seat.draft.CopyFrom(vote.judgement)
            self.undone[request.request_id] = seat
        return self.undone[request.request_id]

    def SkipSeat(self, request: Any, context: Any) -> reviews_pb2.SkipSeatResponse:  # noqa: N802
        if self.seats.pop(request.name, None) is not None:
            self.waiting.append(self.seat_numbers[request.name])
        return reviews_pb2.SkipSeatResponse()

    def SaveDraft(self, request: Any, context: Any) -> reviews_pb2.Seat:  # noqa: N802
        self.drafts[request.name] = request.draft
        return self.seats[request.name]

    def ListOwnVotes(self, request: Any, context: Any) -> reviews_pb2.ListOwnVotesResponse:  # noqa: N802
        return reviews_pb2.ListOwnVotesResponse(votes=reversed(self.votes.values()))

    # Feedback, duels, aliases

    def SubmitFeedback(self, request: Any, context: Any) -> feedback_pb2.Vote:  # noqa: N802
        return feedback_pb2.Vote(
            name="projects/p/votes/v1",
            state=feedback_pb2.VOTE_STATE_SUBMITTED,
            prompt=request.prompt,
            candidates=request.candidates,
            judgement=request.judgement,
            source=request.source,
        )

    def GetVote(self, request: Any, context: Any) -> feedback_pb2.Vote:  # noqa: N802
        vote = feedback_pb2.Vote(name=request.name.replace("/-/", "/p/"), source="app", scripted=True)
        vote.prompt.messages.add(role="user", content="Hello")
        vote.candidates.add(text="Go away\x1b[2J", model_version=VERSION.format(3))
        vote.judgement.thumb = feedback_pb2.THUMB_DOWN
        return vote

    def ListVotes(self, request: Any, context: Any) -> feedback_pb2.ListVotesResponse:  # noqa: N802
        return feedback_pb2.ListVotesResponse(votes=self.votes.values())

    def RetractVote(self, request: Any, context: Any) -> feedback_pb2.RetractVoteResponse:  # noqa: N802
        answer = feedback_pb2.RetractVoteResponse(feedback_sets=["projects/p/feedbackSets/prefs-1"])
        answer.vote.name, answer.vote.state = request.name, feedback_pb2.VOTE_STATE_RETRACTED
        answer.model_versions.append(VERSION.format(4))
        return answer

    def TraceVote(self, request: Any, context: Any) -> lineage_pb2.Lineage:  # noqa: N802
        return self._lineage(request.name)

    def FreezeFeedback(self, request: Any, context: Any) -> feedback_pb2.FeedbackSet:  # noqa: N802
        return feedback_pb2.FeedbackSet(
            name=f"projects/p/feedbackSets/{request.feedback_set_id or 'made'}",
            reviews=request.reviews,
            sources=request.sources,
            votes=20,
            reviewers=2,
            train=feedback_pb2.SignalCounts(pairs=14, labels=6),
            validation=feedback_pb2.SignalCounts(pairs=2),
            sha256="ab" * 32,
        )

    def GetFeedbackSet(self, request: Any, context: Any) -> feedback_pb2.FeedbackSet:  # noqa: N802
        asked = feedback_pb2.FreezeFeedbackRequest(feedback_set_id=request.name.rsplit("/")[-1])
        return self.FreezeFeedback(asked, context)

    def ListFeedbackSets(self, request: Any, context: Any) -> feedback_pb2.ListFeedbackSetsResponse:  # noqa: N802
        asked = feedback_pb2.FreezeFeedbackRequest(feedback_set_id="prefs-1")
        return feedback_pb2.ListFeedbackSetsResponse(feedback_sets=[self.FreezeFeedback(asked, context)])

    def ExportFeedbackSet(self, request: Any, context: Any) -> Any:  # noqa: N802
        for number in range(3):
            row = f'{{"prompt":"p{number}","chosen":"ä","rejected":"r"}}\n'.encode()
            yield feedback_pb2.ExportFeedbackSetResponse(data=row)

    def CreateDuel(self, request: Any, context: Any) -> duels_pb2.Duel:  # noqa: N802
        duel = request.duel
        duel.name = f"projects/p/duels/{request.duel_id or 'made'}"
        duel.result.verdict, duel.result.pairs = duels_pb2.DUEL_VERDICT_UNDECIDED, 50
        self.duel = duel
        return duel

    def GetDuel(self, request: Any, context: Any) -> duels_pb2.Duel:  # noqa: N802
        result = self.duel.result
        result.verdict, result.wins, result.losses, result.ties = duels_pb2.DUEL_VERDICT_BETTER, 30, 14, 6
        result.win_rate, result.win_rate_low, result.win_rate_high, result.evidence = 0.68, 0.55, 0.79, 41.2
        return self.duel

    def ListDuels(self, request: Any, context: Any) -> duels_pb2.ListDuelsResponse:  # noqa: N802
        return duels_pb2.ListDuelsResponse(duels=[self.duel])

    def PromoteModel(self, request: Any, context: Any) -> models_pb2.Alias:  # noqa: N802
        alias = models_pb2.Alias(name=f"projects/p/models/chat/aliases/{request.alias}", model_version=request.name)
        alias.moves.add(model_version=request.name, gate="better", forced=request.force, reason=request.reason)
        return alias

    def RollBackAlias(self, request: Any, context: Any) -> models_pb2.Alias:  # noqa: N802
        return models_pb2.Alias(name=request.name, model_version=VERSION.format(3))

    def GetAlias(self, request: Any, context: Any) -> models_pb2.Alias:  # noqa: N802
        alias = models_pb2.Alias(name=request.name.replace("/-/", "/p/"), model_version=VERSION.format(4), etag="e")
        for number in (4, 3):
            alias.moves.add(model_version=VERSION.format(number), gate="no duel")
        return alias

    def ListAliases(self, request: Any, context: Any) -> models_pb2.ListAliasesResponse:  # noqa: N802
        return models_pb2.ListAliasesResponse(
            aliases=[models_pb2.Alias(name="projects/p/models/chat/aliases/prod", model_version=VERSION.format(4))]
        )

    def GetLineage(self, request: Any, context: Any) -> lineage_pb2.Lineage:  # noqa: N802
        if "/models/" in request.name and "/chat/" not in request.name:
            context.abort_with_status(refusal(grpc.StatusCode.NOT_FOUND, f"no {request.name}", "NOT_FOUND"))
        return self._lineage(VERSION.format(4))

    def RetrainModel(self, request: Any, context: Any) -> jobs_pb2.Job:  # noqa: N802
        return jobs_pb2.Job(name="projects/p/jobs/again", state=jobs_pb2.JOB_STATE_QUEUED)

    def DrawAnswers(self, request: Any, context: Any) -> jobs_pb2.Job:  # noqa: N802
        return jobs_pb2.Job(name="projects/p/jobs/drawing", state=jobs_pb2.JOB_STATE_QUEUED, draw=request.spec)

    def EvaluateModel(self, request: Any, context: Any) -> jobs_pb2.Job:  # noqa: N802
        return jobs_pb2.Job(name="projects/p/jobs/measuring", state=jobs_pb2.JOB_STATE_QUEUED, evaluate=request.spec)

    def _lineage(self, name: str) -> lineage_pb2.Lineage:
        kinds = lineage_pb2.LineageKind
        graph = lineage_pb2.Lineage(name=name)
        nodes = {
            "projects/p/datasets/talks": kinds.LINEAGE_KIND_DATASET,
            VERSION.format(3): kinds.LINEAGE_KIND_MODEL_VERSION,
            "projects/p/feedbackSets/prefs-1": kinds.LINEAGE_KIND_FEEDBACK_SET,
            "projects/p/jobs/tuning": kinds.LINEAGE_KIND_JOB,
            name: kinds.LINEAGE_KIND_MODEL_VERSION,
            "projects/p/models/chat/aliases/prod": kinds.LINEAGE_KIND_ALIAS,
        }
        for each, kind in nodes.items():
            graph.nodes.add(name=each, kind=kind, sha256="ab" * 32)
        graph.nodes[2].details["votes"], graph.nodes[2].tainted = "20", True
        order = [("talks", VERSION.format(3), "trained on"), (VERSION.format(3), "tuning", "tuned from")]
        order += [("prefs-1", "tuning", "trained on"), ("tuning", name, "published by"), (name, "prod", "is")]
        full = {each.rsplit("/")[-1]: each for each in nodes} | {each: each for each in nodes}
        for begin, end, relation in order:
            graph.edges.add(**{"from": full[begin], "to": full[end], "relation": relation})
        return graph

    def _item(self, number: int) -> reviews_pb2.ReviewItem:
        item = reviews_pb2.ReviewItem(name=f"{self.review.name}/items/{number}")
        item.prompt.text = f"question {number}"
        for version in (3, 4):
            item.candidates.add(text=f"answer of v{version}", model_version=VERSION.format(version))
        return item

    def _seat(self, number: int) -> reviews_pb2.Seat:
        seat = reviews_pb2.Seat(name=f"{self.review.name}/seats/{uuid.uuid4().hex[:12]}")
        seat.prompt.text = f"question {number}"
        seat.candidates.extend((f"the left answer to {number}", f"the right answer to {number}"))
        self.seats[seat.name] = seat
        self.seat_numbers[seat.name] = number
        return seat
