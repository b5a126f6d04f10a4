"""Prompts that a call takes: a dataset as it is, a file or a list as the dataset that it becomes."""

from typing import Any

from tutelage import _aio as colour
from tutelage._async.transport import AsyncTransport
from tutelage._async.upload import ignore, upload_source
from tutelage._errors import NotFound
from tutelage._names import dataset_name
from tutelage._prompts import Prompts, is_file, open_prompts
from tutelage.v1 import datasets_pb2


async def prompts_dataset(transport: AsyncTransport, prompts: Prompts) -> str:
    """Returns the full name of the dataset of prompts; uploads a file or a list, unless that was done before.

    Raises: InvalidArgument for what holds no prompt, and for each bad row; FileNotFoundError.
    """
    name = getattr(prompts, "name", prompts)
    if isinstance(name, str) and not is_file(prompts):
        return dataset_name(name)
    source, dataset_id = await colour.in_thread(open_prompts, prompts)
    try:
        known = await find_dataset(transport, dataset_id)
        if known is not None and known.sha256 == source.sha256:
            return str(known.name)
        dataset = await upload_source(
            transport,
            source,
            dataset_id=dataset_id,
            validation_fraction=None,
            on_progress=ignore,
            timeout=None,
        )
        return dataset.name
    finally:
        source.close()


async def find_dataset(transport: AsyncTransport, dataset_id: str) -> Any:
    """Returns a dataset that can be used, or None."""
    try:
        request = datasets_pb2.GetDatasetRequest(name=dataset_name(dataset_id))
        found = await transport.call("Datasets", "GetDataset", request)
    except NotFound:
        return None
    return found if found.state == datasets_pb2.DATASET_STATE_READY else None
