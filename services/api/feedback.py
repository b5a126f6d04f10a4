"""The servicer of tutelage.v1.Feedback."""

import dataclasses
from typing import Any

from services.api.lineage_messages import lineage_message
from services.api.pool import VerbPool
from services.api.readers import Readers, send_pieces
from services.api.requests import page_request, request_key
from services.api.review_messages import vote_message
from services.api.streams import Stream
from services.api.translation import from_message, to_message
from services.domain.feedback_exports import FeedbackFormat
from services.domain.projects import Caller
from services.feedback.export_feedback_set import export_feedback_set
from services.feedback.freeze_feedback import FreezeDraft, freeze_feedback
from services.feedback.get_feedback_set import get_feedback_set
from services.feedback.get_vote import get_vote
from services.feedback.list_feedback_sets import list_feedback_sets
from services.feedback.list_votes import list_votes
from services.feedback.retract_vote import retract_vote
from services.feedback.submit_feedback import FeedbackDraft, submit_feedback
from services.feedback.trace_vote import trace_vote
from services.ports import House
from tutelage.v1 import feedback_pb2 as pb
from tutelage.v1.lineage_pb2 import Lineage


class Feedback:
    """Translates, calls one verb, translates back."""

    def __init__(self, *, house: House, pool: VerbPool) -> None:
        self._house = house
        self._pool = pool
        self._readers = Readers()

    def submit_feedback(self, caller: Caller, request: pb.SubmitFeedbackRequest) -> pb.Vote:
        draft = from_message(request, FeedbackDraft)
        return vote_message(submit_feedback(self._house, caller=caller, draft=draft, request=request_key(request)))

    def get_vote(self, caller: Caller, request: pb.GetVoteRequest) -> pb.Vote:
        return vote_message(get_vote(self._house, caller=caller, name=request.name))

    def list_votes(self, caller: Caller, request: pb.ListVotesRequest) -> pb.ListVotesResponse:
        found, token = list_votes(
            self._house,
            caller=caller,
            parent=request.parent,
            page=page_request(request),
            review=request.review,
            source=request.source,
        )
        return pb.ListVotesResponse(votes=[vote_message(each) for each in found], next_page_token=token)

    def retract_vote(self, caller: Caller, request: pb.RetractVoteRequest) -> pb.RetractVoteResponse:
        retraction = retract_vote(
            self._house, caller=caller, name=request.name, reason=request.reason, request=request_key(request)
        )
        return to_message(retraction, pb.RetractVoteResponse, vote=vote_message(retraction.vote))

    def trace_vote(self, caller: Caller, request: pb.TraceVoteRequest) -> Lineage:
        return lineage_message(trace_vote(self._house, caller=caller, name=request.name))

    def freeze_feedback(self, caller: Caller, request: pb.FreezeFeedbackRequest) -> pb.FeedbackSet:
        draft = from_message(request, FreezeDraft)
        found = freeze_feedback(self._house, caller=caller, draft=draft, request=request_key(request))
        return to_message(found, pb.FeedbackSet)

    def get_feedback_set(self, caller: Caller, request: pb.GetFeedbackSetRequest) -> pb.FeedbackSet:
        return to_message(get_feedback_set(self._house, caller=caller, name=request.name), pb.FeedbackSet)

    def list_feedback_sets(self, caller: Caller, request: pb.ListFeedbackSetsRequest) -> pb.ListFeedbackSetsResponse:
        page = page_request(request)
        found, token = list_feedback_sets(self._house, caller=caller, parent=request.parent, page=page)
        sets = [to_message(each, pb.FeedbackSet) for each in found]
        return pb.ListFeedbackSetsResponse(feedback_sets=sets, next_page_token=token)

    async def export_feedback_set(self, stream: Stream, request: pb.ExportFeedbackSetRequest, context: Any) -> None:
        """Write the lines in pieces."""
        asked = from_message(request, _Export)
        with self._readers.place(stream.caller.project_id):
            export = await self._pool.run(
                export_feedback_set, self._house, caller=stream.caller, name=asked.name, format=asked.format
            )

            def tell(data: bytes) -> bytes:
                return pb.ExportFeedbackSetResponse(data=data).SerializeToString()

            await send_pieces(export, read=export.read_piece, tell=tell, pool=self._pool, context=context)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Export:
    """What is asked of an export."""

    name: str
    format: FeedbackFormat = FeedbackFormat.VOTES
