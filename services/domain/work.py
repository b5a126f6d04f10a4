"""What jobs do: a kind of work each, with its specification.

Training and fine-tuning have modules of their own; the shorter kinds are here. Every specification says its `kind` (the
name of its field in tutelage.v1.Job), the `dataset` and `mixture` that it reads, the `model` under which its result is
published, and how many `steps` it takes. Work that is no training takes one step of no tokens.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, ClassVar

from services.domain.fine_tuning import FineTuneSpec
from services.domain.plain import from_plain, to_plain
from services.domain.run_settings import MixturePart
from services.domain.training import TrainSpec


class ExportFormat(enum.Enum):
    """Files that others can read."""

    HUGGING_FACE = "HUGGING_FACE"
    PEFT = "PEFT"
    GGUF = "GGUF"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ShortWork:
    """What is done in one go: nothing is trained, so there are neither tokens nor weights to count."""

    mixture: ClassVar[tuple[MixturePart, ...]] = ()
    tokens_per_step: ClassVar[int] = 0
    parameters: ClassVar[int] = 0
    flops_per_step: ClassVar[float] = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `work_from_json` turns back."""
        return to_plain(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportModelSpec(_ShortWork):
    """Bringing a model from elsewhere; `base` is the exact version that an adapter is merged into, or empty."""

    kind: ClassVar[str] = "import_model"
    steps: ClassVar[int] = 1

    dataset: str
    model: str
    base: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportModelSpec(_ShortWork):
    """Writing a model in a form that others read; `model` is the resource name of the exact version."""

    kind: ClassVar[str] = "export_model"
    steps: ClassVar[int] = 1
    dataset: ClassVar[str] = ""

    model: str
    format: ExportFormat


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifySpec(_ShortWork):
    """Computing steps of another job again, from `first_step` on."""

    kind: ClassVar[str] = "verify"
    model: ClassVar[str] = ""
    dataset: ClassVar[str] = ""

    job: str
    first_step: int
    steps: int

    @property
    def last_step(self) -> int:
        """The last step that is computed again."""
        return self.first_step + self.steps - 1


Work = TrainSpec | FineTuneSpec | ImportModelSpec | ExportModelSpec | VerifySpec
TrainedWork = TrainSpec | FineTuneSpec
PublishedWork = TrainSpec | FineTuneSpec | ImportModelSpec

_KINDS: dict[str, Any] = {
    "train": TrainSpec,
    "fine_tune": FineTuneSpec,
    "import_model": ImportModelSpec,
    "export_model": ExportModelSpec,
    "verify": VerifySpec,
}
KINDS = tuple(_KINDS)
TRAINED = KINDS[:2]
"""Kinds of work with steps, checkpoints to go on from and metrics."""
PUBLISHING = KINDS[:3]
"""Kinds of work whose result becomes a model version; the files of the others belong to their job."""


def work_from_json(kind: str, plain: Mapping[str, Any]) -> Work:
    """Return the specification of a kind behind plain values."""
    if kind in TRAINED:
        trained: TrainedWork = _KINDS[kind].from_json(plain)
        return trained
    short: ImportModelSpec | ExportModelSpec | VerifySpec = from_plain(_KINDS[kind], plain)
    return short


def published_from_json(kind: str, plain: Mapping[str, Any]) -> PublishedWork:
    """Return the specification behind a model version."""
    work = work_from_json(kind, plain)
    assert not isinstance(work, ExportModelSpec | VerifySpec), "neither publishes a version"
    return work


def model_id_of(work: Work) -> str:
    """Return the id of the model that a job is about: the one it makes, or the one it exports; empty for neither."""
    return work.model.split("/")[3] if isinstance(work, ExportModelSpec) else work.model


def mixture_of(work: Work) -> tuple[str, ...]:
    """Return the names of the further datasets, in the order of the specification."""
    return tuple(part.dataset for part in work.mixture)


def tokenizer_dataset_of(work: Work) -> str:
    """Return the name of the dataset that holds the tokenizer, or nothing."""
    return work.tokenizer.dataset if isinstance(work, TrainSpec) else ""
