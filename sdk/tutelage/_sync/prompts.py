# Generated from tutelage/_async/prompts.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""Prompts that a call takes: a dataset as it is, a file or a list as the dataset that it becomes."""

from typing import Any

from tutelage import _blocking as colour
from tutelage._errors import NotFound
from tutelage._names import dataset_name
from tutelage._prompts import Prompts, is_file, open_prompts
from tutelage._sync.transport import Transport
from tutelage._sync.upload import ignore, upload_source
from tutelage.v1 import datasets_pb2


def prompts_dataset(transport: Transport, prompts: Prompts) -> str:
    """Returns the full name of the dataset of prompts; uploads a file or a list, unless that was done before.

    Raises: InvalidArgument for what holds no prompt, and for each bad row; FileNotFoundError.
    """
    name = getattr(prompts, "name", prompts)
    if isinstance(name, str) and not is_file(prompts):
        return dataset_name(name)
    source, dataset_id = colour.in_thread(open_prompts, prompts)
    try:
        known = find_dataset(transport, dataset_id)
        if known is not None and known.sha256 == source.sha256:
            return str(known.name)
        dataset = upload_source(
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


def find_dataset(transport: Transport, dataset_id: str) -> Any:
    """Returns a dataset that can be used, or None."""
    try:
        request = datasets_pb2.GetDatasetRequest(name=dataset_name(dataset_id))
        found = transport.call("Datasets", "GetDataset", request)
    except NotFound:
        return None
    return found if found.state == datasets_pb2.DATASET_STATE_READY else None
