"""What is trained further, on what, and how: the specification of a fine-tuning job."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from services.domain.architecture import Architecture
from services.domain.flops import flops_per_token, forward_flops_per_token
from services.domain.methods import OF_PAIRS, GrpoDraft, GrpoSpec, Method, PreferenceDraft, PreferenceSpec
from services.domain.optimization import OptimizationDraft, OptimizationSpec
from services.domain.plain import from_plain, to_plain
from services.domain.run_settings import (
    CheckpointsDraft,
    CheckpointsSpec,
    ComputeDraft,
    ComputeSpec,
    EvaluationDraft,
    EvaluationSpec,
    MixturePart,
    MixturePartDraft,
    Precision,
    RegularizationDraft,
    RegularizationSpec,
    RowsDraft,
    RowsSpec,
    SamplesDraft,
    SamplesSpec,
)

LORA_TARGETS = ("query", "key", "value", "out", "gate", "up", "down")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraSpec:
    """Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685), decided."""

    rank: int
    alpha: float
    dropout: float = 0.0
    targets: tuple[str, ...] = LORA_TARGETS
    rank_stabilized: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaseModel:
    """What is known of the weights that tuning begins with.

    `parameters` is exact where `architecture` is not: other families have norms and biases of their own. `head_width`
    is set where it is not a share of the width.
    """

    architecture: Architecture
    vocabulary_size: int
    parameters: int
    head_width: int | None = None

    def adapter_parameters(self, lora: LoraSpec) -> int:
        """Return the number of weights of the adapters: two matrices a target and layer."""
        shape = self.architecture
        head_width = self.head_width or shape.width // shape.heads
        queries, keys = shape.heads * head_width, shape.key_value_heads * head_width
        other = {"query": queries, "key": keys, "value": keys, "out": queries}
        other |= dict.fromkeys(("gate", "up", "down"), shape.feed_forward_width)
        return lora.rank * shape.layers * sum(shape.width + other.get(target, 0) for target in lora.targets)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuneSpec:
    """Training that goes on from a model, every default filled in.

    `base` is the exact version or checkpoint, `base_model` what it was found to be. `rows` is None where all datasets
    are plain text; `lora` is None where all weights move. `preference` is None for methods
    that have no such settings, `grpo` for all but GRPO.
    """

    kind: ClassVar[str] = "fine_tune"

    base: str
    base_model: BaseModel
    dataset: str
    steps: int
    seed: int
    optimization: OptimizationSpec
    evaluation: EvaluationSpec
    samples: SamplesSpec
    checkpoints: CheckpointsSpec
    precision: Precision
    model: str
    context_length: int
    mixture: tuple[MixturePart, ...] = ()
    lora: LoraSpec | None = None
    rows: RowsSpec | None = None
    regularization: RegularizationSpec = RegularizationSpec()
    compute: ComputeSpec = ComputeSpec()
    method: Method = Method.SFT
    preference: PreferenceSpec | None = None
    grpo: GrpoSpec | None = None

    @property
    def parameters(self) -> int:
        """Number of weights of the model that comes out; adapters are merged into it."""
        return self.base_model.parameters

    @property
    def trained_parameters(self) -> int:
        """Number of weights that move."""
        return self.parameters if self.lora is None else self.base_model.adapter_parameters(self.lora)

    @property
    def shape(self) -> Architecture:
        """The shape of the model."""
        return self.base_model.architecture

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens that the model knows."""
        return self.base_model.vocabulary_size

    @property
    def adapted(self) -> bool:
        """Whether adapters are trained beside weights that stay."""
        return self.lora is not None

    @property
    def sequences_per_row(self) -> int:
        """Sequences that a row of the batch makes: a pair has two answers."""
        return 2 if self.method in OF_PAIRS else 1

    @property
    def rows_per_step(self) -> int:
        """Rows of the dataset that a step learns from; a batch of GRPO counts answers, a group of them to a prompt."""
        group_size = self.grpo.group_size if self.grpo else 1
        return max(1, self.optimization.batch_size // max(1, group_size))

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one optimizer step trains on, padding included."""
        return self.optimization.batch_size * self.sequences_per_row * self.context_length

    @property
    def flops_per_step(self) -> float:
        """Floating-point operations of one step."""
        of_token = flops_per_token(
            self.base_model.architecture,
            parameters=self.parameters,
            context_length=self.context_length,
            adapters=None if self.lora is None else self.trained_parameters,
            recomputed=self.compute.activation_checkpointing,
        )
        updates = self.grpo.updates if self.grpo else 1
        return (of_token * updates + self.forward_flops * self._looks) * self.tokens_per_step

    @property
    def forward_flops(self) -> float:
        """Floating-point operations of a token that is only looked at."""
        return forward_flops_per_token(
            self.base_model.architecture, parameters=self.parameters, context_length=self.context_length
        )

    @property
    def _looks(self) -> int:
        """How often each token of a step is looked at without learning.

        KTO looks at answers to other prompts, to know how far the model is from its base; GRPO draws the answers, and
        looks at them with the base where it stays close to it.
        """
        if self.grpo is not None:
            return 2 if self.grpo.kl_weight else 1
        return 1 if self.method is Method.KTO else 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` turns back."""
        return to_plain(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "FineTuneSpec":
        """Return the specification behind plain values."""
        return from_plain(cls, plain)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraDraft:
    """Low-rank adaptation, as asked for."""

    rank: int | None = None
    alpha: float | None = None
    dropout: float | None = None
    targets: tuple[str, ...] = ()
    rank_stabilized: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuneDraft:
    """Training that goes on from a model as a caller asks for it; what is None or empty is left to the service."""

    base: str
    dataset: str
    mixture: tuple[MixturePartDraft, ...] = ()
    lora: LoraDraft | None = None
    steps: int | None = None
    seed: int | None = None
    optimization: OptimizationDraft = OptimizationDraft()
    evaluation: EvaluationDraft = EvaluationDraft()
    samples: SamplesDraft = SamplesDraft()
    checkpoints: CheckpointsDraft = CheckpointsDraft()
    precision: Precision | None = None
    model: str = ""
    rows: RowsDraft = RowsDraft()
    regularization: RegularizationDraft = RegularizationDraft()
    compute: ComputeDraft = ComputeDraft()
    context_length: int | None = None
    method: Method | None = None
    preference: PreferenceDraft = PreferenceDraft()
    grpo: GrpoDraft = GrpoDraft()
