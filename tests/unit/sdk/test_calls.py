"""Calls: what goes with them, which are repeated, and how long they may take."""

import datetime
import re
import time
import uuid
from typing import Any

import grpc
import pytest

import tutelage
from tests.unit.sdk.conftest import add_job
from tests.unit.sdk.service_double import KEY, ServiceDouble, failure

UNAVAILABLE = failure(grpc.StatusCode.UNAVAILABLE, reason="UNAVAILABLE", retry_after_s=0.001)

MUTATIONS = {
    "Train": lambda client: client.train("plays"),
    "CancelJob": lambda client: client.jobs.cancel("plays-tiny-x7k2"),
    "PauseJob": lambda client: client.jobs.pause("plays-tiny-x7k2"),
    "ResumeJob": lambda client: client.jobs.resume("plays-tiny-x7k2"),
    "StartUpload": lambda client: client.datasets.upload(b"text", name="other"),
    "FinishUpload": lambda client: client.datasets.upload(b"text", name="other"),
    "DeleteDataset": lambda client: client.datasets.delete("plays"),
    "CreateApiKey": lambda client: client.keys.create("viewer"),
    "RevokeApiKey": lambda client: client.keys.revoke("4k2j8x0q7d1c"),
}


@pytest.fixture
def furnished(service: ServiceDouble, client: Any) -> ServiceDouble:
    """A service with a job and a dataset."""
    add_job(service)
    client.datasets.upload(b"to be\n", name="plays")
    service.calls.clear()
    return service


@pytest.mark.parametrize("method", MUTATIONS)
def test_a_mutation_is_repeated_with_the_same_request_id(client: Any, furnished: ServiceDouble, method: str) -> None:
    furnished.fail(method, UNAVAILABLE, UNAVAILABLE)
    MUTATIONS[method](client)
    ids = [request.request_id for request in furnished.requests(method)]
    assert len(ids) == 3
    assert len(set(ids)) == 1
    assert uuid.UUID(ids[0])


def test_two_calls_never_share_a_request_id(client: Any, service: ServiceDouble) -> None:
    client.train("plays")
    client.train("plays")
    first, second = service.requests("Train")
    assert first.request_id != second.request_id


def test_the_caller_may_choose_the_request_id(client: Any, service: ServiceDouble) -> None:
    client.train("plays", request_id="11111111-1111-4111-8111-111111111111")
    assert service.requests("Train")[0].request_id == "11111111-1111-4111-8111-111111111111"


def test_a_dry_run_needs_no_request_id(client: Any, service: ServiceDouble) -> None:
    forecast = client.forecast("plays", steps=10)
    assert forecast.parameters == 1_200_000
    request = service.requests("Train")[0]
    assert request.validate_only
    assert request.request_id == ""


def test_a_read_is_repeated_when_the_service_is_away_for_a_moment(client: Any, furnished: ServiceDouble) -> None:
    furnished.fail("GetJob", UNAVAILABLE, failure(grpc.StatusCode.UNAVAILABLE))
    assert client.jobs.get("plays-tiny-x7k2").state == "SUCCEEDED"


def test_a_refusal_for_lack_of_room_is_repeated_only_if_the_service_says_when(
    client: Any, furnished: ServiceDouble
) -> None:
    furnished.fail("GetJob", failure(grpc.StatusCode.RESOURCE_EXHAUSTED, reason="RATE_LIMITED", retry_after_s=0.05))
    began = time.monotonic()
    client.jobs.get("plays-tiny-x7k2")
    assert time.monotonic() - began >= 0.05
    furnished.fail("GetJob", failure(grpc.StatusCode.RESOURCE_EXHAUSTED, reason="LIMIT_REACHED"))
    with pytest.raises(tutelage.ResourceExhausted):
        client.jobs.get("plays-tiny-x7k2")


@pytest.mark.parametrize("code", ["INTERNAL", "DEADLINE_EXCEEDED", "UNKNOWN", "CANCELLED", "ABORTED", "DATA_LOSS"])
def test_nothing_else_is_repeated(client: Any, furnished: ServiceDouble, code: str) -> None:
    furnished.fail("GetJob", failure(grpc.StatusCode[code]))
    with pytest.raises(tutelage.TutelageError):
        client.jobs.get("plays-tiny-x7k2")
    assert len(furnished.requests("GetJob")) == 1


def test_repeating_ends(client: Any, furnished: ServiceDouble) -> None:
    furnished.fail("GetJob", *[UNAVAILABLE] * 50)
    with pytest.raises(tutelage.Unavailable):
        client.jobs.get("plays-tiny-x7k2")
    assert 3 < len(furnished.requests("GetJob")) < 50


def test_a_wait_that_is_longer_than_the_deadline_is_not_begun(client: Any, furnished: ServiceDouble) -> None:
    furnished.fail("GetJob", failure(grpc.StatusCode.UNAVAILABLE, reason="UNAVAILABLE", retry_after_s=0.9))
    began = time.monotonic()
    with pytest.raises(tutelage.Unavailable):
        client.jobs.get("plays-tiny-x7k2", timeout=0.5)
    assert time.monotonic() - began < 0.5


def test_a_call_has_a_deadline(service: ServiceDouble) -> None:
    with (
        tutelage.Client(address="127.0.0.1:1", api_key=KEY, timeout_s=0.2) as client,
        pytest.raises((tutelage.Unavailable, tutelage.DeadlineExceeded)),
    ):
        client.jobs.get("x")


def test_every_call_carries_the_key_and_an_id(client: Any, service: ServiceDouble) -> None:
    client.caller()
    client.caller()
    first, second = (metadata for _, _, metadata in service.calls)
    assert first["authorization"] == f"Bearer {KEY}"
    assert re.fullmatch(r"[0-9a-f-]{36}", first["x-request-id"])
    assert first["x-request-id"] != second["x-request-id"]
    assert first["user-agent"].startswith(f"tutelage-python/{tutelage.__version__}")


def test_the_tries_of_one_call_share_its_id(client: Any, service: ServiceDouble) -> None:
    service.fail("GetCaller", UNAVAILABLE)
    client.caller()
    assert len({metadata["x-request-id"] for _, _, metadata in service.calls}) == 1


def test_a_stranger_is_told_so(service: ServiceDouble) -> None:
    with (
        tutelage.Client(address=service.address, api_key="tut_wrong") as client,
        pytest.raises(tutelage.Unauthenticated) as caught,
    ):
        client.caller()
    assert caught.value.reason == "INVALID_KEY"


def test_short_names_mean_the_project_of_the_key_and_full_names_stay(client: Any, furnished: ServiceDouble) -> None:
    client.jobs.get("plays-tiny-x7k2")
    client.jobs.get("projects/p/jobs/plays-tiny-x7k2")
    client.models.version("plays-tiny")
    client.models.version("plays-tiny/versions/3")
    client.models.version("plays-tiny", version=2)
    assert [r.name for r in furnished.requests("GetJob")] == [
        "projects/-/jobs/plays-tiny-x7k2",
        "projects/p/jobs/plays-tiny-x7k2",
    ]
    assert [r.name for r in furnished.requests("GetModelVersion")] == [
        "projects/-/models/plays-tiny/versions/latest",
        "projects/-/models/plays-tiny/versions/3",
        "projects/-/models/plays-tiny/versions/2",
    ]


def test_a_list_asks_for_the_next_page_when_it_gets_there(client: Any, service: ServiceDouble) -> None:
    for number in range(5):
        client.train("plays", job_id=f"job-{number}")
    found = [job.name for job in client.jobs.list(page_size=2, filter="state = QUEUED", order_by="create_time asc")]
    assert found == [f"projects/p/jobs/job-{number}" for number in range(5)]
    asked = service.requests("ListJobs")
    assert [request.page_token for request in asked] == ["", "2", "4"]
    assert {(request.filter, request.order_by) for request in asked} == {("state = QUEUED", "create_time asc")}


def test_a_list_that_is_left_early_asks_for_no_more(client: Any, service: ServiceDouble) -> None:
    for number in range(5):
        client.train("plays", job_id=f"job-{number}")
    listing = client.jobs.list(page_size=2)
    next(listing)
    listing.close()
    assert len(service.requests("ListJobs")) == 1


def test_a_job_is_steered_by_its_handle_and_by_name(client: Any, service: ServiceDouble) -> None:
    job = client.train("plays")
    assert job.state == "QUEUED"
    assert job.pause().state == "PAUSED"
    assert job.resume().state == "QUEUED"
    assert client.jobs.cancel(job.name).state == "CANCELLED"
    assert job.state == "QUEUED", "a handle shows what it last saw"
    assert job.refresh().state == "CANCELLED"


def test_what_is_known_of_a_job_can_be_asked_for(client: Any, service: ServiceDouble) -> None:
    job = client.jobs.get(add_job(service))
    assert job.explain().findings[0].help == "start another worker"
    assert list(job.metrics("train/loss", step_min=3, points_max=100)) == ["train/loss"]
    asked = service.requests("QueryMetrics")[0]
    assert (asked.step_min, asked.points_max, asked.HasField("step_max")) == (3, 100, False)
    assert [checkpoint.step for checkpoint in job.checkpoints()] == [20, 10]
    assert {event.kind for event in job.events()} == {"state_changed", "sample_drawn", "checkpoint_committed", "note"}


def test_text_is_streamed_and_drawn(client: Any, service: ServiceDouble) -> None:
    assert "".join(piece.text for piece in client.stream("plays-tiny", "To be")) == " or not to be"
    answer = client.sample("plays-tiny", "To be", samples=2, stop="\n", temperature=0)
    assert [sample.seed for sample in answer.samples] == [0, 1]
    asked = service.requests("Sample")[0]
    assert (asked.samples, list(asked.stop), asked.temperature) == (2, ["\n"], 0.0)
    assert asked.HasField("temperature")
    assert not asked.HasField("top_k")


@pytest.mark.parametrize("options", [{"temprature": 1}, {"top_k": "many"}, {"seed": -1}, {"max_tokens": 1.5}])
def test_an_option_that_cannot_be_is_refused_before_any_call(
    client: Any, service: ServiceDouble, options: dict[str, Any]
) -> None:
    with pytest.raises(tutelage.InvalidArgument) as caught:
        client.sample("plays-tiny", **options)
    assert caught.value.field_violations[0].field == next(iter(options))
    assert service.calls == []


def test_keys_are_made_with_a_role_and_an_end(client: Any, service: ServiceDouble) -> None:
    end = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    made = client.keys.create(tutelage.Role.TRAINER, display_name="ci", expire_time=end)
    assert made.secret.startswith("tut_")
    assert made.api_key.role is tutelage.Role.TRAINER
    assert made.api_key.expire_time == end
    assert [key.role for key in client.keys.list()] == ["TRAINER"]
    assert client.keys.revoke("4k2j8x0q7d1c").revoke_time is not None


@pytest.mark.parametrize("role", ["boss", "unspecified", ""])
def test_a_role_that_does_not_exist_is_refused(client: Any, role: str) -> None:
    with pytest.raises(tutelage.InvalidArgument, match="admin, trainer, reviewer, viewer"):
        client.keys.create(role)


def test_the_cluster_and_the_project_can_be_looked_at(client: Any, service: ServiceDouble) -> None:
    assert client.cluster.info().presets[0].name == "tiny"
    assert [worker.slots for worker in client.cluster.workers()] == [2]
    assert client.cluster.queues()[0].oldest_wait_seconds == 75
    assert client.project().requests_per_second == 50
    assert client.caller().role is tutelage.Role.ADMIN
    assert next(client.audit()).method == "tutelage.v1.Jobs/CancelJob"


def test_a_closed_client_opens_again_when_it_is_used(service: ServiceDouble) -> None:
    client = tutelage.Client(address=service.address, api_key=KEY)
    client.caller()
    client.close()
    client.caller()
    client.close()
