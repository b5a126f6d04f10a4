"""Saying of what shape the model is that a job begins with."""

import dataclasses

import artifacts
from services.domain.errors import WrongState
from services.domain.fine_tuning import BaseModel, FineTuneSpec
from services.domain.stored_models import base_model_of
from services.domain.training import TrainSpec
from services.jobs.bases import Base
from services.ports import House, store_errors

CONFIG = "config.json"
_CONFIG_BYTES_MAX = 1 << 20


def describe_base(house: House, base: Base) -> BaseModel:
    """Return the shape of what was found: from the specification of the job that made it, else from its config.json.

    Raises: WrongState if that cannot be read.
    """
    if isinstance(base.spec, TrainSpec):
        size = base.spec.tokenizer.vocabulary_size
        return BaseModel(architecture=base.spec.architecture, vocabulary_size=size, parameters=base.parameters)
    if isinstance(base.spec, FineTuneSpec):
        parameters = base.spec.parameters if base.files.base else base.parameters
        return dataclasses.replace(base.spec.base_model, parameters=parameters)
    found = base_model_of(_config(house, base), parameters=base.parameters)
    if found is None:
        raise WrongState.of(f"{CONFIG} of {base.files.name} cannot be read; import the model again", state="UNREADABLE")
    return found


def _config(house: House, base: Base) -> bytes:
    prefix, manifest = base.files.artifact_prefix, base.files.manifest_sha256
    try:
        with store_errors():
            files = {file.name: file for file in house.store.files(prefix, manifest_sha256=manifest)}
            if CONFIG not in files:
                return b""
            with house.store.open_file(prefix, files[CONFIG]) as file:
                return file.read(_CONFIG_BYTES_MAX)
    except (artifacts.NotStored, artifacts.CorruptFileSet):
        return b""
