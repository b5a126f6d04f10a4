# Generated from tutelage/_async/model_version.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""A published model that one can draw from."""

import dataclasses
from collections.abc import Iterator
from typing import Unpack

from tutelage._sampling_options import SamplingOptions
from tutelage._sync.sampling import sample_model, stream_model
from tutelage._sync.transport import Transport
from tutelage._values.models import ModelVersionInfo
from tutelage._values.sampling import SampleResponse, StreamSampleResponse


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelVersion(ModelVersionInfo):
    """One published set of weights, with the methods that draw from it."""

    _transport: Transport = dataclasses.field(repr=False, compare=False)

    def sample(
        self, prompt: str = "", *, timeout: float | None = None, **options: Unpack[SamplingOptions]
    ) -> SampleResponse:
        """Draws texts from this version; its `text` is the first one.

        Raises: InvalidArgument for a prompt longer than the context, ResourceExhausted when too many requests wait.
        """
        return sample_model(self._transport, self.name, prompt, options=options, timeout=timeout)

    def stream(
        self, prompt: str = "", *, timeout: float | None = None, **options: Unpack[SamplingOptions]
    ) -> Iterator[StreamSampleResponse]:
        """Yields text as it is drawn."""
        return stream_model(self._transport, self.name, prompt, options=options, timeout=timeout)
