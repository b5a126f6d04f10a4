"""Finding everything that a training job is decided from: datasets, tokenizer, machines, the first words of a text."""

import dataclasses
from collections.abc import Sequence

from services.domain.datasets import Dataset, DatasetFormat
from services.domain.fine_tuning import FineTuneSpec
from services.domain.forecast import Forecast
from services.domain.forecasting import forecast
from services.domain.inputs import Inputs, is_text
from services.domain.limits import TOKENIZER_FILE_BYTES_MAX
from services.domain.projects import Caller
from services.domain.tokenizer_files import vocabulary_size_of
from services.domain.training import MixturePartDraft, SamplesDraft, TrainSpec
from services.jobs.accepting import expected_queue_s, find_own_dataset
from services.ports import House, UnitOfWork, store_errors

OPENING_WORDS = 4
_OPENING_BYTES = 200


def find_inputs(
    house: House,
    uow: UnitOfWork,
    *,
    caller: Caller,
    dataset: str,
    mixture: Sequence[MixturePartDraft],
    tokenizer: str = "",
) -> Inputs:
    """Return what the database knows of the inputs; `with_files` adds what their bytes say.

    Raises: NotFound for a dataset, with the nearest id; InvalidField for a name of another shape.
    """
    alive = uow.workers.alive(now=uow.now(), lease_s=house.leases.lease_s)
    return Inputs(
        dataset=find_own_dataset(uow, caller=caller, name=dataset, field="spec.dataset"),
        mixture=tuple(
            find_own_dataset(uow, caller=caller, name=part.dataset, field=f"spec.mixture[{index}].dataset")
            for index, part in enumerate(mixture)
        ),
        tokenizer=find_own_dataset(uow, caller=caller, name=tokenizer, field="spec.tokenizer.dataset")
        if tokenizer
        else None,
        seed=house.chance.seed(),
        devices=frozenset(worker.device for worker in alive if not worker.draining),
    )


def with_files(house: House, inputs: Inputs, *, samples: SamplesDraft) -> Inputs:
    """Return the inputs with the first words of the validation part and the size of the tokenizer's vocabulary."""
    wanted = samples.prompt is None and is_text(inputs.dataset)
    return dataclasses.replace(
        inputs,
        opening=_opening(house, inputs.dataset) if wanted else None,
        vocabulary_size=_vocabulary_size(house, inputs.tokenizer),
    )


def forecast_of(house: House, uow: UnitOfWork, spec: TrainSpec | FineTuneSpec, *, inputs: Inputs) -> Forecast:
    """Return what the run would take on this cluster as it is now."""
    return forecast(
        spec,
        inputs=inputs,
        speeds=uow.attempts.speeds(),
        queue_s=expected_queue_s(house, uow),
        free_bytes=house.store.free_bytes(),
    )


def _opening(house: House, dataset: Dataset) -> str:
    first = dataset.split.train_bytes
    with store_errors(), house.store.open(dataset.artifact_key, offset=first, length=_OPENING_BYTES) as file:
        text = file.read().decode(errors="ignore")
    words = text.replace("\x00", " ").split()[:OPENING_WORDS]
    return " ".join(words)[: _OPENING_BYTES // 2]


def _vocabulary_size(house: House, tokenizer: Dataset | None) -> int | None:
    if tokenizer is None or tokenizer.format is not DatasetFormat.TOKENIZER:
        return None
    if tokenizer.size_bytes > TOKENIZER_FILE_BYTES_MAX:
        return None
    with store_errors(), house.store.open(tokenizer.artifact_key, offset=0, length=tokenizer.size_bytes) as file:
        return vocabulary_size_of(file.read())
