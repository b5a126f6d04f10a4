"""What jobs do: a kind of work each, with its specification.

Training and fine-tuning have modules of their own; the shorter kinds are here. Every specification says its `kind` (the
name of its field in tutelage.v1.Job), the `dataset` and `mixture` that it reads, the `model` under which its result is
published, and how many `steps` it takes. Work that is no training takes one step of no tokens; drawing takes a step a
prompt.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, ClassVar

from services.domain.drawing import Checker, DrawOptions
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
    parameters: ClassVar[int] = 0
    flops_per_step: ClassVar[float] = 0.0

    @property
    def tokens_per_step(self) -> int:
        """Tokens of a step; none."""
        return 0

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawSpec(_ShortWork):
    """Drawing answers: each of the exact versions `models` answers each prompt `samples` times. A step is a prompt.

    `prompts` is the dataset, whose first `prompts_max` rows are answered. Answers are scored by `checker`, or by the
    exact version `reward_model`, if by any.
    """

    kind: ClassVar[str] = "draw"
    model: ClassVar[str] = ""

    models: tuple[str, ...]
    prompts: str
    samples: int
    options: DrawOptions
    prompts_max: int
    checker: Checker | None = None
    reward_model: str = ""

    @property
    def dataset(self) -> str:
        """The dataset that it reads."""
        return self.prompts

    @property
    def steps(self) -> int:
        """How many prompts are answered."""
        return self.prompts_max

    @property
    def tokens_per_step(self) -> int:
        """The most tokens that are drawn for a prompt; answers may end before."""
        return len(self.models) * self.samples * self.options.max_tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateSpec(_ShortWork):
    """Measuring the exact version `model` on the rows kept for validation, or on all of them. One step."""

    kind: ClassVar[str] = "evaluate"
    steps: ClassVar[int] = 1

    model: str
    dataset: str
    all_rows: bool
    options: DrawOptions


Work = TrainSpec | FineTuneSpec | ImportModelSpec | ExportModelSpec | VerifySpec | DrawSpec | EvaluateSpec
TrainedWork = TrainSpec | FineTuneSpec
PublishedWork = TrainSpec | FineTuneSpec | ImportModelSpec
UnpublishedWork = ExportModelSpec | VerifySpec | DrawSpec | EvaluateSpec

_KINDS: dict[str, Any] = {
    "train": TrainSpec,
    "fine_tune": FineTuneSpec,
    "import_model": ImportModelSpec,
    "export_model": ExportModelSpec,
    "verify": VerifySpec,
    "draw": DrawSpec,
    "evaluate": EvaluateSpec,
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
    short: ImportModelSpec | UnpublishedWork = from_plain(_KINDS[kind], plain)
    return short


def published_from_json(kind: str, plain: Mapping[str, Any]) -> PublishedWork:
    """Return the specification behind a model version."""
    work = work_from_json(kind, plain)
    assert not isinstance(work, UnpublishedWork), "its files belong to its job"
    return work


def model_id_of(work: Work) -> str:
    """Return the id of the model that a job is about: the one it makes, exports, measures or draws from first."""
    if isinstance(work, DrawSpec):
        return id_of_model(work.models[0])
    return id_of_model(work.model) if isinstance(work, ExportModelSpec | EvaluateSpec) else work.model


def id_of_model(name: str) -> str:
    """Return the id of the model in the name of one of its versions."""
    return name.split("/")[3]


def models_of(work: Work) -> tuple[str, ...]:
    """Return the names of the versions that a job draws from, in the order of the specification."""
    return work.models if isinstance(work, DrawSpec) else ()


def reward_model_of(work: Work) -> str:
    """Return the name of the version that scores answers for a job, or nothing."""
    if isinstance(work, DrawSpec):
        return work.reward_model
    return work.grpo.reward_model if isinstance(work, FineTuneSpec) and work.grpo else ""


def mixture_of(work: Work) -> tuple[str, ...]:
    """Return the names of the further datasets, in the order of the specification."""
    return tuple(part.dataset for part in work.mixture)


def tokenizer_dataset_of(work: Work) -> str:
    """Return the name of the dataset that holds the tokenizer, or nothing."""
    return work.tokenizer.dataset if isinstance(work, TrainSpec) else ""
