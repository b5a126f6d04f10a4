# Generated from tutelage/_async/model_calls.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""The calls about models that more than one handle makes."""

from tutelage._errors import NotFound
from tutelage._names import model_version_name, names_of_what
from tutelage._sync.model_version import ModelVersion
from tutelage._sync.transport import Transport
from tutelage._values.lineage import Lineage
from tutelage.v1 import models_pb2


def get_version(transport: Transport, model: str, *, version: int | str | None, timeout: float | None) -> ModelVersion:
    """Returns one version, by default the newest."""
    request = models_pb2.GetModelVersionRequest(name=model_version_name(model, version=version))
    answer = transport.call("Models", "GetModelVersion", request, timeout=timeout)
    return ModelVersion.from_message(answer, _transport=transport)


def find_lineage(transport: Transport, name: str, *, timeout: float | None) -> Lineage:
    """Returns the lineage of what a name may mean: a model first, then a feedback set, then a dataset."""
    *others, last = names_of_what(name)
    for full in others:
        try:
            return get_lineage(transport, full, timeout=timeout)
        except NotFound:
            continue
    return get_lineage(transport, last, timeout=timeout)


def get_lineage(transport: Transport, name: str, *, timeout: float | None) -> Lineage:
    """Returns the lineage of one thing."""
    request = models_pb2.GetLineageRequest(name=name)
    return Lineage.from_message(transport.call("Models", "GetLineage", request, timeout=timeout))
