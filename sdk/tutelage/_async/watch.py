"""Following a job: every event once, in order, however often the line breaks."""

import contextlib
from collections.abc import AsyncGenerator

from tutelage import _aio as colour
from tutelage._async.transport import AsyncTransport
from tutelage._errors import TutelageError, Unavailable, WaitTimeout
from tutelage._retry import Backoff, Patience, is_broken_line
from tutelage._values.job_events import JobEvent
from tutelage._values.jobs import JobState
from tutelage.v1 import jobs_pb2

# A stream is asked for anew after this long, so that one that fell silent without breaking is left too.
STREAM_S = 300.0
# How long to try to come back without hearing anything.
RECONNECT_S = 600.0


async def watch_job(
    transport: AsyncTransport, name: str, *, after_cursor: int, timeout: float | None
) -> AsyncGenerator[JobEvent, None]:
    """Yields what happened after the cursor, then follows until the job is over.

    Raises: WaitTimeout after `timeout` seconds, and what WatchJob refuses; a broken line is resumed.
    """
    cursor, over = after_cursor, False
    backoff, patience = Backoff(), Patience(RECONNECT_S)
    limit = Patience(float("inf") if timeout is None else timeout)
    while True:
        heard = False
        try:
            async with contextlib.aclosing(one_stream(transport, name, cursor, limit=limit)) as events:
                async for event in events:
                    backoff.reset()
                    patience.renew()
                    if event.cursor > cursor:
                        cursor, heard = event.cursor, True
                        over = event.state_changed is not None and event.state_changed.to.is_final
                        yield event
            if over:
                return
            over = not heard and await is_over(transport, name)
            if not over and not heard:
                raise Unavailable(f"the stream of {name} ended early")
        except TutelageError as error:
            if not limit.covers(0):
                raise WaitTimeout(f"{name} was not over after {timeout:g} s; it goes on") from error
            wait_s = backoff.next_wait_s(error)
            if not is_broken_line(error) or not patience.covers(wait_s):
                raise
            await colour.sleep(min(wait_s, limit.left_s()))


async def one_stream(
    transport: AsyncTransport, name: str, cursor: int, *, limit: Patience
) -> AsyncGenerator[JobEvent, None]:
    """Yields what one call of WatchJob sends: signs of life, and events without a gap."""
    request = jobs_pb2.WatchJobRequest(name=name, after_cursor=cursor)
    messages = transport.stream("Jobs", "WatchJob", request, timeout=min(STREAM_S, limit.left_s()))
    async with contextlib.aclosing(messages):
        async for message in messages:
            if message.cursor > cursor + 1:
                raise Unavailable(f"event {cursor + 1} of {name} did not arrive")
            cursor = max(cursor, message.cursor)
            yield JobEvent.from_message(message)


async def is_over(transport: AsyncTransport, name: str) -> bool:
    """Says whether the job has reached a final state."""
    answer = await transport.call("Jobs", "GetJob", jobs_pb2.GetJobRequest(name=name))
    return JobState.from_wire(answer.state, jobs_pb2.JobState.DESCRIPTOR).is_final
