"""A published model that one can draw from."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Unpack

from tutelage._async.sampling import sample_model, stream_model
from tutelage._async.transport import AsyncTransport
from tutelage._sampling_options import SamplingOptions
from tutelage._values.models import ModelVersionInfo
from tutelage._values.sampling import SampleResponse, StreamSampleResponse


@dataclasses.dataclass(frozen=True, kw_only=True)
class AsyncModelVersion(ModelVersionInfo):
    """One published set of weights, with the methods that draw from it."""

    _transport: AsyncTransport = dataclasses.field(repr=False, compare=False)

    async def sample(
        self, prompt: str = "", *, timeout: float | None = None, **options: Unpack[SamplingOptions]
    ) -> SampleResponse:
        """Draws texts from this version; its `text` is the first one.

        Raises: InvalidArgument for a prompt longer than the context, ResourceExhausted when too many requests wait.
        """
        return await sample_model(self._transport, self.name, prompt, options=options, timeout=timeout)

    def stream(
        self, prompt: str = "", *, timeout: float | None = None, **options: Unpack[SamplingOptions]
    ) -> AsyncIterator[StreamSampleResponse]:
        """Yields text as it is drawn."""
        return stream_model(self._transport, self.name, prompt, options=options, timeout=timeout)
