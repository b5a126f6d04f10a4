"""The calls about models that more than one handle makes."""

from tutelage._async.model_version import AsyncModelVersion
from tutelage._async.transport import AsyncTransport
from tutelage._names import model_version_name
from tutelage.v1 import models_pb2


async def get_version(
    transport: AsyncTransport, model: str, *, version: int | str | None, timeout: float | None
) -> AsyncModelVersion:
    """Returns one version, by default the newest."""
    request = models_pb2.GetModelVersionRequest(name=model_version_name(model, version=version))
    answer = await transport.call("Models", "GetModelVersion", request, timeout=timeout)
    return AsyncModelVersion.from_message(answer, _transport=transport)
