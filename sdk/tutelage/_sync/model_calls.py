# Generated from tutelage/_async/model_calls.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""The calls about models that more than one handle makes."""

from tutelage._names import model_version_name
from tutelage._sync.model_version import ModelVersion
from tutelage._sync.transport import Transport
from tutelage.v1 import models_pb2


def get_version(transport: Transport, model: str, *, version: int | str | None, timeout: float | None) -> ModelVersion:
    """Returns one version, by default the newest."""
    request = models_pb2.GetModelVersionRequest(name=model_version_name(model, version=version))
    answer = transport.call("Models", "GetModelVersion", request, timeout=timeout)
    return ModelVersion.from_message(answer, _transport=transport)
