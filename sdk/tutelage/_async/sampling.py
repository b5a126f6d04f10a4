"""Texts drawn from models: all at once, or as they are drawn."""

import contextlib
from collections.abc import AsyncIterator

from tutelage._async.transport import AsyncTransport
from tutelage._sampling_options import SamplingOptions, build_sample_request
from tutelage._values.sampling import SampleResponse, StreamSampleResponse

# The gateway lets a call to Sample run for 300 s.
TIMEOUT_S = 300.0


async def sample_model(
    transport: AsyncTransport, model: str, prompt: str, *, options: SamplingOptions, timeout: float | None
) -> SampleResponse:
    """Returns all samples together."""
    request = build_sample_request(model, prompt, options=options)
    limit_s = TIMEOUT_S if timeout is None else timeout
    return SampleResponse.from_message(await transport.call("Sampling", "Sample", request, timeout=limit_s))


async def stream_model(
    transport: AsyncTransport, model: str, prompt: str, *, options: SamplingOptions, timeout: float | None
) -> AsyncIterator[StreamSampleResponse]:
    """Yields pieces of the samples. A stream that breaks is not resumed: the caller has shown its beginning already."""
    request = build_sample_request(model, prompt, options=options)
    limit_s = TIMEOUT_S if timeout is None else timeout
    async with contextlib.aclosing(transport.stream("Sampling", "StreamSample", request, timeout=limit_s)) as messages:
        async for message in messages:
            yield StreamSampleResponse.from_message(message)
