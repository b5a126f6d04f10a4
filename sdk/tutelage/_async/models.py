"""Models, and their versions."""

from collections.abc import AsyncIterator

from tutelage._async.model_version import AsyncModelVersion
from tutelage._async.pages import walk_pages
from tutelage._async.transport import AsyncTransport
from tutelage._names import model_name, model_version_name
from tutelage._values.models import Model
from tutelage.v1 import models_pb2


class AsyncModels:
    """What jobs have published."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get(self, model: str, *, timeout: float | None = None) -> Model:
        """Returns a model with its newest version. Raises: NotFound."""
        request = models_pb2.GetModelRequest(name=model_name(model))
        return Model.from_message(await self._transport.call("Models", "GetModel", request, timeout=timeout))

    async def list(self, *, page_size: int = 0, timeout: float | None = None) -> AsyncIterator[Model]:
        """Yields models, most recently published first."""
        request = models_pb2.ListModelsRequest(parent="projects/-", page_size=page_size)
        async for message in walk_pages(self._transport, "Models", "ListModels", request, timeout=timeout):
            yield Model.from_message(message)

    async def version(
        self, model: str, *, version: int | str | None = None, timeout: float | None = None
    ) -> AsyncModelVersion:
        """Returns one version, by default the newest, with methods to sample from it. Raises: NotFound."""
        request = models_pb2.GetModelVersionRequest(name=model_version_name(model, version=version))
        answer = await self._transport.call("Models", "GetModelVersion", request, timeout=timeout)
        return AsyncModelVersion.from_message(answer, _transport=self._transport)

    async def versions(
        self, model: str, *, page_size: int = 0, timeout: float | None = None
    ) -> AsyncIterator[AsyncModelVersion]:
        """Yields the versions of a model, newest first. Raises: NotFound."""
        request = models_pb2.ListModelVersionsRequest(parent=model_name(model), page_size=page_size)
        async for message in walk_pages(self._transport, "Models", "ListModelVersions", request, timeout=timeout):
            yield AsyncModelVersion.from_message(message, _transport=self._transport)
