"""The servicer of tutelage.v1.Reviews."""

from services.api.requests import page_request, request_key
from services.api.review_messages import judgement_of, open_review_message, vote_message
from services.api.translation import from_message, to_message
from services.domain.errors import InvalidField
from services.domain.projects import Caller
from services.domain.review_resolution import ReviewDraft
from services.ports import House
from services.reviews.create_review import create_review
from services.reviews.get_review import get_review
from services.reviews.get_review_stats import get_review_stats
from services.reviews.list_open_reviews import list_open_reviews
from services.reviews.list_own_votes import list_own_votes
from services.reviews.list_review_items import list_review_items
from services.reviews.list_reviews import list_reviews
from services.reviews.save_draft import save_draft
from services.reviews.set_gold_answer import set_gold_answer
from services.reviews.skip_seat import skip_seat
from services.reviews.submit_vote import submit_vote
from services.reviews.take_seats import take_seats
from services.reviews.undo_vote import undo_vote
from services.reviews.update_review import update_review
from tutelage.v1 import feedback_pb2
from tutelage.v1 import reviews_pb2 as pb


class Reviews:
    """Translates, calls one verb, translates back."""

    def __init__(self, *, house: House) -> None:
        self._house = house

    def create_review(self, caller: Caller, request: pb.CreateReviewRequest) -> pb.Review:
        if not request.HasField("review"):
            raise InvalidField.of("review", "is required")
        review = create_review(
            self._house,
            caller=caller,
            parent=request.parent,
            draft=from_message(request.review, ReviewDraft),
            review_id=request.review_id,
            request=request_key(request),
        )
        return to_message(review, pb.Review)

    def get_review(self, caller: Caller, request: pb.GetReviewRequest) -> pb.Review:
        return to_message(get_review(self._house, caller=caller, name=request.name), pb.Review)

    def list_reviews(self, caller: Caller, request: pb.ListReviewsRequest) -> pb.ListReviewsResponse:
        found, token = list_reviews(self._house, caller=caller, parent=request.parent, page=page_request(request))
        return pb.ListReviewsResponse(reviews=[to_message(each, pb.Review) for each in found], next_page_token=token)

    def update_review(self, caller: Caller, request: pb.UpdateReviewRequest) -> pb.Review:
        review = update_review(
            self._house,
            caller=caller,
            name=request.name,
            overlap=request.overlap if request.HasField("overlap") else None,
            guidelines=request.guidelines if request.HasField("guidelines") else None,
            closed=request.closed if request.HasField("closed") else None,
            request=request_key(request),
        )
        return to_message(review, pb.Review)

    def get_review_stats(self, caller: Caller, request: pb.GetReviewStatsRequest) -> pb.ReviewStats:
        return to_message(get_review_stats(self._house, caller=caller, name=request.name), pb.ReviewStats)

    def list_review_items(self, caller: Caller, request: pb.ListReviewItemsRequest) -> pb.ListReviewItemsResponse:
        page = page_request(request)
        found, token = list_review_items(self._house, caller=caller, parent=request.parent, page=page)
        items = [to_message(each, pb.ReviewItem) for each in found]
        return pb.ListReviewItemsResponse(items=items, next_page_token=token)

    def set_gold_answer(self, caller: Caller, request: pb.SetGoldAnswerRequest) -> pb.ReviewItem:
        item = set_gold_answer(
            self._house,
            caller=caller,
            name=request.name,
            gold=judgement_of(request.gold) if request.HasField("gold") else None,
            request=request_key(request),
        )
        return to_message(item, pb.ReviewItem)

    def list_open_reviews(self, caller: Caller, request: pb.ListOpenReviewsRequest) -> pb.ListOpenReviewsResponse:
        found = list_open_reviews(self._house, caller=caller, parent=request.parent)
        return pb.ListOpenReviewsResponse(reviews=[open_review_message(each) for each in found])

    def take_seats(self, caller: Caller, request: pb.TakeSeatsRequest) -> pb.TakeSeatsResponse:
        request_key(request)  # the call is safe to repeat without it; what it holds must be well all the same
        seats = request.seats if request.HasField("seats") else 1
        taken = take_seats(self._house, caller=caller, name=request.name, seats=seats)
        return to_message(taken, pb.TakeSeatsResponse)

    def save_draft(self, caller: Caller, request: pb.SaveDraftRequest) -> pb.Seat:
        request_key(request)  # as for `take_seats`
        draft = judgement_of(request.draft)
        return to_message(save_draft(self._house, caller=caller, name=request.name, draft=draft), pb.Seat)

    def submit_vote(self, caller: Caller, request: pb.SubmitVoteRequest) -> feedback_pb2.Vote:
        if not request.HasField("judgement"):
            raise InvalidField.of("judgement", "is required")
        vote = submit_vote(
            self._house,
            caller=caller,
            name=request.name,
            judgement=judgement_of(request.judgement),
            active_seconds=request.active_seconds,
            scripted=request.scripted,
            request=request_key(request),
        )
        return vote_message(vote)

    def undo_vote(self, caller: Caller, request: pb.UndoVoteRequest) -> pb.Seat:
        seat = undo_vote(self._house, caller=caller, name=request.name, request=request_key(request))
        return to_message(seat, pb.Seat)

    def skip_seat(self, caller: Caller, request: pb.SkipSeatRequest) -> pb.SkipSeatResponse:
        skip_seat(self._house, caller=caller, name=request.name, request=request_key(request))
        return pb.SkipSeatResponse()

    def list_own_votes(self, caller: Caller, request: pb.ListOwnVotesRequest) -> pb.ListOwnVotesResponse:
        found, token = list_own_votes(self._house, caller=caller, parent=request.parent, page=page_request(request))
        return pb.ListOwnVotesResponse(votes=[vote_message(each) for each in found], next_page_token=token)
