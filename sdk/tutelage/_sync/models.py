# Generated from tutelage/_async/models.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""Models, and their versions."""

from collections.abc import Iterator

from tutelage._names import model_name, model_version_name
from tutelage._sync.model_version import ModelVersion
from tutelage._sync.pages import walk_pages
from tutelage._sync.transport import Transport
from tutelage._values.models import Model
from tutelage.v1 import models_pb2


class Models:
    """What jobs have published."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, model: str, *, timeout: float | None = None) -> Model:
        """Returns a model with its newest version. Raises: NotFound."""
        request = models_pb2.GetModelRequest(name=model_name(model))
        return Model.from_message(self._transport.call("Models", "GetModel", request, timeout=timeout))

    def list(self, *, page_size: int = 0, timeout: float | None = None) -> Iterator[Model]:
        """Yields models, most recently published first."""
        request = models_pb2.ListModelsRequest(parent="projects/-", page_size=page_size)
        for message in walk_pages(self._transport, "Models", "ListModels", request, timeout=timeout):
            yield Model.from_message(message)

    def version(self, model: str, *, version: int | str | None = None, timeout: float | None = None) -> ModelVersion:
        """Returns one version, by default the newest, with methods to sample from it. Raises: NotFound."""
        request = models_pb2.GetModelVersionRequest(name=model_version_name(model, version=version))
        answer = self._transport.call("Models", "GetModelVersion", request, timeout=timeout)
        return ModelVersion.from_message(answer, _transport=self._transport)

    def versions(self, model: str, *, page_size: int = 0, timeout: float | None = None) -> Iterator[ModelVersion]:
        """Yields the versions of a model, newest first. Raises: NotFound."""
        request = models_pb2.ListModelVersionsRequest(parent=model_name(model), page_size=page_size)
        for message in walk_pages(self._transport, "Models", "ListModelVersions", request, timeout=timeout):
            yield ModelVersion.from_message(message, _transport=self._transport)
