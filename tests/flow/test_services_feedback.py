"""Feedback over real gRPC: from an application's thumb to a set, to what other tools read, and back out again."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from services.api import readers as api_readers
from services.domain.limits import FILE_CHUNK_BYTES
from services.domain.projects import Role
from tests.support.served_house import ServedHouse, fields_of, keys_of_roles, made_house, reason_of, served_house
from tests.support.waiting import wait_for
from tutelage.v1 import datasets_pb2, datasets_pb2_grpc, lineage_pb2
from tutelage.v1 import feedback_pb2 as pb
from tutelage.v1 import feedback_pb2_grpc as pb_grpc


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    folder = tmp_path_factory.mktemp("house")
    house = made_house(f"sqlite:///{folder}/house.db", artifacts_dir=folder / "artifacts")
    with served_house(house, folder) as served:
        yield served


@pytest.fixture(scope="module")
def feedback(served: ServedHouse) -> Any:
    return served.stub(pb_grpc.FeedbackStub)


def preference(number: int, *, source: str = "app", **said: Any) -> pb.SubmitFeedbackRequest:
    return pb.SubmitFeedbackRequest(
        parent="projects/-",
        prompt=pb.Prompt(text=f"prompt {number}"),
        candidates=[pb.Candidate(text=f"good {number}"), pb.Candidate(text=f"bad {number}")],
        judgement=pb.Judgement(verdict=pb.VERDICT_PREFERS, preferred=0),
        source=source,
        **said,
    )


def test_a_thumb_becomes_a_set_and_finds_its_way_out(served: ServedHouse, feedback: Any) -> None:
    request = preference(1, request_id=str(uuid.uuid4()), end_user="u1")
    vote = feedback.SubmitFeedback(request)
    assert feedback.SubmitFeedback(request) == vote == feedback.GetVote(pb.GetVoteRequest(name=vote.name))
    assert (vote.state, vote.source, vote.item, vote.end_user) == (pb.VOTE_STATE_SUBMITTED, "app", "", "u1")
    others = [feedback.SubmitFeedback(preference(number)) for number in range(2, 6)]
    listed = feedback.ListVotes(pb.ListVotesRequest(parent="projects/-", source="app"))
    assert [each.name for each in listed.votes] == [each.name for each in [*reversed(others), vote]]

    freeze = pb.FreezeFeedbackRequest(
        parent="projects/-", feedback_set_id="prefs", sources=["app"], request_id=str(uuid.uuid4())
    )
    made = feedback.FreezeFeedback(freeze)
    assert made == feedback.FreezeFeedback(freeze)
    assert (made.votes, made.train.pairs + made.validation.pairs, made.policy) == (5, 5, pb.CONFLICT_POLICY_MAJORITY)
    assert made == feedback.GetFeedbackSet(pb.GetFeedbackSetRequest(name=made.name))
    assert list(feedback.ListFeedbackSets(pb.ListFeedbackSetsRequest(parent="projects/-")).feedback_sets) == [made]
    datasets: Any = served.stub(datasets_pb2_grpc.DatasetsStub)
    dataset = datasets.GetDataset(datasets_pb2.GetDatasetRequest(name=made.dataset))
    assert (dataset.sha256, dataset.row_statistics.kind) == (made.sha256, datasets_pb2.ROW_KIND_FEEDBACK)

    rows = exported(feedback, made.name, pb.FEEDBACK_FORMAT_DPO)
    assert {row["chosen"] for row in rows} == {f"good {number}" for number in range(1, 6)}
    assert len(exported(feedback, made.name, pb.FEEDBACK_FORMAT_UNSPECIFIED)) == 5

    retracted = feedback.RetractVote(pb.RetractVoteRequest(name=vote.name, reason="a minor"))
    assert (retracted.vote.state, list(retracted.feedback_sets)) == (pb.VOTE_STATE_RETRACTED, [made.name])
    lineage = feedback.TraceVote(pb.TraceVoteRequest(name=vote.name))
    kinds = [node.kind for node in lineage.nodes]
    assert kinds == [lineage_pb2.LINEAGE_KIND_VOTE, lineage_pb2.LINEAGE_KIND_FEEDBACK_SET]
    assert lineage.nodes[1].tainted
    assert feedback.GetFeedbackSet(pb.GetFeedbackSetRequest(name=made.name)).retracted_votes == 1


def exported(feedback: Any, name: str, format: int) -> list[dict[str, Any]]:
    pieces = [piece.data for piece in feedback.ExportFeedbackSet(pb.ExportFeedbackSetRequest(name=name, format=format))]
    assert all(len(piece) <= FILE_CHUNK_BYTES for piece in pieces)
    return [json.loads(line) for line in b"".join(pieces).splitlines()]


def test_what_is_wrong_is_named(feedback: Any) -> None:
    request = preference(1)
    request.judgement.CopyFrom(pb.Judgement(rating=11, rationale="a\x07"))
    with pytest.raises(grpc.RpcError) as caught:
        feedback.SubmitFeedback(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert {"judgement.rating", "judgement.rationale"} <= set(fields_of(caught.value))
    with pytest.raises(grpc.RpcError) as caught:
        feedback.FreezeFeedback(pb.FreezeFeedbackRequest(parent="projects/-", sources=["nobody"]))
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    with pytest.raises(grpc.RpcError) as caught:
        list(feedback.ExportFeedbackSet(pb.ExportFeedbackSetRequest(name="projects/-/feedbackSets/none")))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_reviewer_sees_neither_votes_nor_sets(served: ServedHouse) -> None:
    stub: Any = served.stub(pb_grpc.FeedbackStub, key=keys_of_roles(served)[Role.REVIEWER])
    calls = [
        lambda: stub.ListVotes(pb.ListVotesRequest(parent="projects/-")),
        lambda: stub.SubmitFeedback(preference(1)),
        lambda: stub.FreezeFeedback(pb.FreezeFeedbackRequest(parent="projects/-", sources=["app"])),
        lambda: list(stub.ExportFeedbackSet(pb.ExportFeedbackSetRequest(name="projects/-/feedbackSets/prefs"))),
        lambda: stub.RetractVote(pb.RetractVoteRequest(name="projects/-/votes/v", reason="r")),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_reader_that_leaves_an_export_frees_its_place(feedback: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_readers, "READERS_MAX", 1)
    for number in range(40):
        request = preference(number, source="long")
        request.candidates[0].text = f"{number} " + "x" * 99_000
        feedback.SubmitFeedback(request)
    made = feedback.FreezeFeedback(
        pb.FreezeFeedbackRequest(parent="projects/-", feedback_set_id="long", sources=["long"])
    )
    request = pb.ExportFeedbackSetRequest(name=made.name, format=pb.FEEDBACK_FORMAT_DPO)
    first = feedback.ExportFeedbackSet(request)
    assert next(first).data.endswith(b"\n")

    def is_free() -> bool:
        try:
            second = feedback.ExportFeedbackSet(request)
            next(second)
            second.cancel()
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            return False
        return True

    first.cancel()
    wait_for(is_free, limit_s=10, what="the place to be free")
