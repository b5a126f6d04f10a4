# Generated from tutelage/_async/job_calls.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""The calls about one job, which both its handle and `client.jobs` offer."""

import uuid
from collections.abc import Iterator, Mapping, Sequence

from tutelage._names import job_name
from tutelage._sync.pages import walk_pages
from tutelage._sync.transport import Transport
from tutelage._values.inspection import InspectStepResponse
from tutelage._values.job_events import JobEvent, MetricSeries
from tutelage._values.jobs import Checkpoint, ExplainJobResponse, JobInfo, Receipt
from tutelage.v1 import inspection_pb2, jobs_pb2

# The gateway lets a look inside a step take this long: it computes one, after a wait for its turn.
INSPECT_S = 300.0


def get_job(transport: Transport, name: str, *, timeout: float | None) -> JobInfo:
    """Returns one job."""
    request = jobs_pb2.GetJobRequest(name=job_name(name))
    return JobInfo.from_message(transport.call("Jobs", "GetJob", request, timeout=timeout))


def control_job(transport: Transport, method: str, name: str, *, timeout: float | None) -> JobInfo:
    """Calls CancelJob, PauseJob or ResumeJob."""
    request = getattr(jobs_pb2, f"{method}Request")(name=job_name(name), request_id=str(uuid.uuid4()))
    return JobInfo.from_message(transport.call("Jobs", method, request, timeout=timeout))


def explain_job(transport: Transport, name: str, *, timeout: float | None) -> ExplainJobResponse:
    """Returns an explanation."""
    request = jobs_pb2.ExplainJobRequest(name=job_name(name))
    return ExplainJobResponse.from_message(transport.call("Jobs", "ExplainJob", request, timeout=timeout))


def verify_job(
    transport: Transport,
    name: str,
    *,
    first_step: int | None,
    steps: int | None,
    request_id: str | None,
    timeout: float | None,
) -> JobInfo:
    """Submits the job that computes steps again."""
    request = jobs_pb2.VerifyJobRequest(
        name=job_name(name), first_step=first_step, steps=steps, request_id=request_id or str(uuid.uuid4())
    )
    return JobInfo.from_message(transport.call("Jobs", "VerifyJob", request, timeout=timeout))


def get_receipt(transport: Transport, name: str, *, timeout: float | None) -> Receipt:
    """Returns what the run can be held to."""
    request = jobs_pb2.GetReceiptRequest(name=job_name(name))
    return Receipt.from_message(transport.call("Jobs", "GetReceipt", request, timeout=timeout))


def inspect_step(
    transport: Transport,
    name: str,
    *,
    step: int | None,
    text: str,
    predictions: int | None,
    timeout: float | None,
) -> InspectStepResponse:
    """Returns the inside of a step."""
    request = inspection_pb2.InspectStepRequest(name=job_name(name), step=step, text=text, predictions=predictions)
    limit_s = INSPECT_S if timeout is None else timeout
    answer = transport.call("Inspection", "InspectStep", request, timeout=limit_s)
    return InspectStepResponse.from_message(answer)


def query_metrics(
    transport: Transport,
    name: str,
    keys: Sequence[str],
    *,
    limits: Mapping[str, int | None],
    timeout: float | None,
) -> dict[str, MetricSeries]:
    """Returns curves by key."""
    given = {field: value for field, value in limits.items() if value is not None}
    request = jobs_pb2.QueryMetricsRequest(name=job_name(name), keys=keys, **given)
    answer = transport.call("Jobs", "QueryMetrics", request, timeout=timeout)
    return {message.key: MetricSeries.from_message(message) for message in answer.series}


def list_events(transport: Transport, name: str, *, page_size: int, timeout: float | None) -> Iterator[JobEvent]:
    """Yields events, oldest first."""
    request = jobs_pb2.ListJobEventsRequest(parent=job_name(name), page_size=page_size)
    for message in walk_pages(transport, "Jobs", "ListJobEvents", request, timeout=timeout):
        yield JobEvent.from_message(message)


def list_checkpoints(transport: Transport, name: str, *, page_size: int, timeout: float | None) -> Iterator[Checkpoint]:
    """Yields checkpoints, newest first."""
    request = jobs_pb2.ListCheckpointsRequest(parent=job_name(name), page_size=page_size)
    for message in walk_pages(transport, "Jobs", "ListCheckpoints", request, timeout=timeout):
        yield Checkpoint.from_message(message)
