"""The calls about models that more than one handle makes."""

from tutelage._async.model_version import AsyncModelVersion
from tutelage._async.transport import AsyncTransport
from tutelage._errors import NotFound
from tutelage._names import model_version_name, names_of_what
from tutelage._values.lineage import Lineage
from tutelage.v1 import models_pb2


async def get_version(
    transport: AsyncTransport, model: str, *, version: int | str | None, timeout: float | None
) -> AsyncModelVersion:
    """Returns one version, by default the newest."""
    request = models_pb2.GetModelVersionRequest(name=model_version_name(model, version=version))
    answer = await transport.call("Models", "GetModelVersion", request, timeout=timeout)
    return AsyncModelVersion.from_message(answer, _transport=transport)


async def find_lineage(transport: AsyncTransport, name: str, *, timeout: float | None) -> Lineage:
    """Returns the lineage of what a name may mean: a model first, then a feedback set, then a dataset."""
    *others, last = names_of_what(name)
    for full in others:
        try:
            return await get_lineage(transport, full, timeout=timeout)
        except NotFound:
            continue
    return await get_lineage(transport, last, timeout=timeout)


async def get_lineage(transport: AsyncTransport, name: str, *, timeout: float | None) -> Lineage:
    """Returns the lineage of one thing."""
    request = models_pb2.GetLineageRequest(name=name)
    return Lineage.from_message(await transport.call("Models", "GetLineage", request, timeout=timeout))
