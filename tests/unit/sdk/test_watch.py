"""Watching a job: nothing lost, nothing twice, however the line breaks."""

import dataclasses
from typing import Any

import grpc
import pytest

import tutelage
from tests.unit.sdk.conftest import add_job
from tests.unit.sdk.service_double import ServiceDouble, failure
from tutelage.v1 import jobs_pb2


def cursors(client: Any, name: str, **options: Any) -> list[int]:
    return [event.cursor for event in client.jobs.get(name).watch(**options)]


def test_a_watch_ends_with_the_job(client: Any, service: ServiceDouble) -> None:
    name = add_job(service)
    assert cursors(client, name) == list(range(1, len(service.events) + 1))
    assert len(service.requests("WatchJob")) == 1


@pytest.mark.parametrize("every", [1, 2, 7])
def test_a_line_cut_after_every_few_events_loses_and_doubles_nothing(
    client: Any, service: ServiceDouble, every: int
) -> None:
    name = add_job(service)
    service.cut_watch_after = every
    assert cursors(client, name) == list(range(1, len(service.events) + 1))
    asked = [request.after_cursor for request in service.requests("WatchJob")]
    assert asked == list(range(0, len(service.events) + 1, every))


def test_a_line_that_is_cut_at_each_single_event_is_resumed_there(client: Any, service: ServiceDouble) -> None:
    name = add_job(service, steps=5)
    for cut in range(len(service.events) + 1):
        service.cut_watch_after, service.watch_cuts_left = cut, 1
        received = [event.cursor for event in client.jobs.watch(name)]
        assert received == list(range(1, len(service.events) + 1)), f"cut after {cut}"


def test_events_that_come_again_are_passed_over(client: Any, service: ServiceDouble) -> None:
    name = add_job(service)
    service.cut_watch_after, service.repeat_events = 5, 3
    assert cursors(client, name) == list(range(1, len(service.events) + 1))


def test_a_gap_is_asked_for_again(client: Any, service: ServiceDouble) -> None:
    name = add_job(service)
    missing = service.events.pop(9)
    received = []
    for event in client.jobs.watch(name):
        received.append(event.cursor)
        if event.cursor == 9:
            service.events.insert(9, missing)
    assert received == list(range(1, len(service.events) + 1))


def test_a_watch_can_begin_after_a_cursor(client: Any, service: ServiceDouble) -> None:
    name = add_job(service)
    assert cursors(client, name, after_cursor=20) == list(range(21, len(service.events) + 1))


def test_a_watch_after_the_last_event_of_a_job_that_is_over_ends(client: Any, service: ServiceDouble) -> None:
    name = add_job(service)
    assert cursors(client, name, after_cursor=len(service.events)) == []


@pytest.mark.parametrize(
    "status",
    [
        failure(grpc.StatusCode.UNAVAILABLE, reason="UNAVAILABLE", retry_after_s=0.001),
        failure(grpc.StatusCode.OUT_OF_RANGE, reason="SLOW_READER", cursor="3"),
        failure(grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"),
        failure(grpc.StatusCode.UNKNOWN, "Stream removed"),
        failure(grpc.StatusCode.CANCELLED, "the server goes"),
        failure(grpc.StatusCode.DEADLINE_EXCEEDED),
    ],
    ids=lambda status: str(status.code),
)
def test_a_stream_that_the_line_ended_is_resumed(client: Any, service: ServiceDouble, status: Any) -> None:
    name = add_job(service)
    service.fail("WatchJob", status, status)
    assert cursors(client, name) == list(range(1, len(service.events) + 1))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (failure(grpc.StatusCode.NOT_FOUND, reason="NOT_FOUND"), tutelage.NotFound),
        (failure(grpc.StatusCode.UNAUTHENTICATED, reason="INVALID_KEY"), tutelage.Unauthenticated),
        (failure(grpc.StatusCode.INTERNAL, reason="INTERNAL"), tutelage.Internal),
    ],
)
def test_a_stream_that_the_service_refuses_is_not_asked_for_again(
    client: Any, service: ServiceDouble, status: Any, error: type[Exception]
) -> None:
    name = add_job(service)
    service.fail("WatchJob", status)
    with pytest.raises(error):
        cursors(client, name)
    assert len(service.requests("WatchJob")) == 1


def test_a_stream_that_ends_early_is_asked_for_again(client: Any, service: ServiceDouble) -> None:
    name = add_job(service, state=jobs_pb2.JOB_STATE_RUNNING)
    end = service.events.pop()
    received = []
    for event in client.jobs.watch(name):
        received.append(event.cursor)
        if event.cursor == end.cursor - 1:
            end.state_changed.to = service.jobs[name].state = jobs_pb2.JOB_STATE_CANCELLED
            service.events.append(end)
    assert received == list(range(1, len(service.events) + 1))


def test_waiting_gives_up_after_its_time_and_leaves_the_job_alone(client: Any, service: ServiceDouble) -> None:
    name = add_job(service, state=jobs_pb2.JOB_STATE_QUEUED)
    service.events = service.events[:1]
    job = client.jobs.get(name)
    with pytest.raises(tutelage.WaitTimeout, match="goes on"):
        job.wait(timeout=0.3)
    with pytest.raises(TimeoutError):
        job.wait(timeout=0.3, on_event=lambda event: None)
    assert not service.requests("CancelJob")


def test_waiting_tells_each_event_and_looks_at_the_job_again(client: Any, service: ServiceDouble) -> None:
    name = add_job(service)
    heard: list[tutelage.JobEvent] = []
    job = client.jobs.get(name)
    job.wait(on_event=heard.append)
    assert [event.cursor for event in heard] == list(range(1, len(service.events) + 1))
    assert len(service.requests("GetJob")) == 2


def test_waiting_outlasts_a_line_that_breaks_longer_than_a_call_is_repeated(
    client: Any, service: ServiceDouble
) -> None:
    job = client.jobs.get(add_job(service))
    broken = failure(grpc.StatusCode.CANCELLED)
    service.fail("GetJob", broken, broken)
    assert job.wait(timeout=20).state is tutelage.JobState.SUCCEEDED
    service.fail("GetJob", failure(grpc.StatusCode.NOT_FOUND, reason="NOT_FOUND"))
    with pytest.raises(tutelage.NotFound):
        job.wait(timeout=20)


def test_the_result_of_a_job_is_a_model_that_samples(client: Any, service: ServiceDouble) -> None:
    model = client.jobs.get(add_job(service)).result()
    assert model.version == 1
    assert model.sample("To be", max_tokens=5).text.startswith(" or not")
    assert service.requests("Sample")[0].model == "projects/p/models/plays-tiny/versions/1"


def test_the_result_of_a_failed_job_says_why_and_what_would_help(client: Any, service: ServiceDouble) -> None:
    name = add_job(service, state=jobs_pb2.JOB_STATE_FAILED)
    with pytest.raises(tutelage.JobFailed, match=r"DIVERGED.*infinite at step 7\n.*lower the learning rate"):
        client.jobs.get(name).result()


def test_the_result_of_a_cancelled_job_is_an_error_of_its_own(client: Any, service: ServiceDouble) -> None:
    name = add_job(service, state=jobs_pb2.JOB_STATE_CANCELLED)
    with pytest.raises(tutelage.JobCancelled):
        client.jobs.get(name).result()


def test_leaving_a_watch_early_cancels_the_call(client: Any, service: ServiceDouble) -> None:
    watching = client.jobs.get(add_job(service)).watch()
    assert next(watching).cursor == 1
    watching.close()


def test_an_event_of_a_kind_that_only_a_newer_service_knows_is_passed_on(client: Any, service: ServiceDouble) -> None:
    name = add_job(service)
    service.events[4].ClearField("metric_logged")
    strange = next(event for event in client.jobs.watch(name) if event.cursor == 5)
    assert strange.kind == ""
    assert dataclasses.is_dataclass(strange)
