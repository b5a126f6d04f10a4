"""What a training job is decided from, beside what its caller asks for: datasets, a tokenizer, machines, chance."""

import dataclasses
from collections.abc import Iterator

from services.domain.datasets import Dataset, DatasetFormat

CPU = "cpu"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """All that was looked up. `opening` is the first words of the validation part, or None where rows are rendered
    first. `vocabulary_size` is that of the tokenizer file; `devices` are those of the workers that were heard from.
    """

    dataset: Dataset
    seed: int
    opening: str | None = None
    mixture: tuple[Dataset, ...] = ()
    tokenizer: Dataset | None = None
    vocabulary_size: int | None = None
    devices: frozenset[str] = frozenset()
    reward_model: str = ""
    """The exact version that scores answers, if one does."""
    reward_parameters: int = 0
    """Its number of weights."""

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """Everything that is trained on, the first dataset first."""
        return (self.dataset, *self.mixture)

    @property
    def held(self) -> tuple[Dataset, ...]:
        """Every dataset that must not be deleted before the job has used it."""
        return (*self.datasets, *([self.tokenizer] if self.tokenizer else ()))

    @property
    def has_rows(self) -> bool:
        """Whether any of the datasets is more than plain text."""
        return not all(is_text(dataset) for dataset in self.datasets)

    @property
    def has_gpu(self) -> bool | None:
        """Whether a worker has more than processors; None if no worker was heard from."""
        return any(device != CPU for device in self.devices) if self.devices else None

    def paths(self) -> Iterator[tuple[str, Dataset]]:
        """Yield each dataset with the path of its field."""
        yield "spec.dataset", self.dataset
        for index, dataset in enumerate(self.mixture):
            yield f"spec.mixture[{index}].dataset", dataset


def is_text(dataset: Dataset) -> bool:
    """Whether it is plain text, one long row."""
    return dataset.format is DatasetFormat.TEXT
