"""The calls about one job, which both its handle and `client.jobs` offer."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence

from tutelage._async.pages import walk_pages
from tutelage._async.transport import AsyncTransport
from tutelage._names import job_name
from tutelage._values.inspection import InspectStepResponse
from tutelage._values.job_events import JobEvent, MetricSeries
from tutelage._values.jobs import Checkpoint, ExplainJobResponse, JobInfo, Receipt
from tutelage.v1 import inspection_pb2, jobs_pb2

# The gateway lets a look inside a step take this long: it computes one, after a wait for its turn.
INSPECT_S = 300.0


async def get_job(transport: AsyncTransport, name: str, *, timeout: float | None) -> JobInfo:
    """Returns one job."""
    request = jobs_pb2.GetJobRequest(name=job_name(name))
    return JobInfo.from_message(await transport.call("Jobs", "GetJob", request, timeout=timeout))


async def control_job(transport: AsyncTransport, method: str, name: str, *, timeout: float | None) -> JobInfo:
    """Calls CancelJob, PauseJob or ResumeJob."""
    request = getattr(jobs_pb2, f"{method}Request")(name=job_name(name), request_id=str(uuid.uuid4()))
    return JobInfo.from_message(await transport.call("Jobs", method, request, timeout=timeout))


async def explain_job(transport: AsyncTransport, name: str, *, timeout: float | None) -> ExplainJobResponse:
    """Returns an explanation."""
    request = jobs_pb2.ExplainJobRequest(name=job_name(name))
    return ExplainJobResponse.from_message(await transport.call("Jobs", "ExplainJob", request, timeout=timeout))


async def verify_job(
    transport: AsyncTransport,
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
    return JobInfo.from_message(await transport.call("Jobs", "VerifyJob", request, timeout=timeout))


async def get_receipt(transport: AsyncTransport, name: str, *, timeout: float | None) -> Receipt:
    """Returns what the run can be held to."""
    request = jobs_pb2.GetReceiptRequest(name=job_name(name))
    return Receipt.from_message(await transport.call("Jobs", "GetReceipt", request, timeout=timeout))


async def inspect_step(
    transport: AsyncTransport,
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
    answer = await transport.call("Inspection", "InspectStep", request, timeout=limit_s)
    return InspectStepResponse.from_message(answer)


async def query_metrics(
    transport: AsyncTransport,
    name: str,
    keys: Sequence[str],
    *,
    limits: Mapping[str, int | None],
    timeout: float | None,
) -> dict[str, MetricSeries]:
    """Returns curves by key."""
    given = {field: value for field, value in limits.items() if value is not None}
    request = jobs_pb2.QueryMetricsRequest(name=job_name(name), keys=keys, **given)
    answer = await transport.call("Jobs", "QueryMetrics", request, timeout=timeout)
    return {message.key: MetricSeries.from_message(message) for message in answer.series}


async def list_events(
    transport: AsyncTransport, name: str, *, page_size: int, timeout: float | None
) -> AsyncIterator[JobEvent]:
    """Yields events, oldest first."""
    request = jobs_pb2.ListJobEventsRequest(parent=job_name(name), page_size=page_size)
    async for message in walk_pages(transport, "Jobs", "ListJobEvents", request, timeout=timeout):
        yield JobEvent.from_message(message)


async def list_checkpoints(
    transport: AsyncTransport, name: str, *, page_size: int, timeout: float | None
) -> AsyncIterator[Checkpoint]:
    """Yields checkpoints, newest first."""
    request = jobs_pb2.ListCheckpointsRequest(parent=job_name(name), page_size=page_size)
    async for message in walk_pages(transport, "Jobs", "ListCheckpoints", request, timeout=timeout):
        yield Checkpoint.from_message(message)
