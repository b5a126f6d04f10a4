"""What is trained, on what, and how: the specification of a training job.

A caller sends a draft, in which most things are left open; `services.domain.resolution` fills in the rest, so that a
job always shows every value that was used. Fields carry the names of tutelage/v1/training.proto.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from services.domain.limits import BYTE_VOCABULARY_SIZE


class Precision(enum.Enum):
    """The arithmetic of forward and backward passes; AUTO is decided by the worker when training starts."""

    AUTO = "AUTO"
    FP32 = "FP32"
    BF16 = "BF16"


class TokenizerKind(enum.Enum):
    """How text becomes tokens."""

    BYTES = "BYTES"
    BPE = "BPE"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerSpec:
    """The tokenizer, decided."""

    kind: TokenizerKind = TokenizerKind.BYTES
    vocabulary_size: int = BYTE_VOCABULARY_SIZE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Architecture:
    """The shape of a decoder-only transformer (RMSNorm, rotary positions, SwiGLU), decided."""

    layers: int
    width: int
    heads: int
    key_value_heads: int
    feed_forward_width: int
    context_length: int
    tied_head: bool
    rotary_base: float = 10000.0

    def parameters(self, vocabulary_size: int) -> int:
        """Return the exact number of weights: embedding, head, blocks of seven matrices and two norms, last norm."""
        key_value_width = self.width // self.heads * self.key_value_heads
        attention = 2 * self.width * self.width + 2 * self.width * key_value_width
        block = attention + 3 * self.width * self.feed_forward_width + 2 * self.width
        embeddings = vocabulary_size * self.width * (1 if self.tied_head else 2)
        return embeddings + self.layers * block + self.width


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizationSpec:
    """How the weights are moved (AdamW, warm-up, cosine), decided."""

    learning_rate: float
    final_learning_rate_ratio: float
    warmup_steps: int
    weight_decay: float
    beta1: float
    beta2: float
    epsilon: float
    clip_norm: float
    batch_size: int
    micro_batch_size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSpec:
    """How progress is measured on held-out text, decided."""

    interval_steps: int
    sequences: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplesSpec:
    """Text drawn on the way, decided."""

    interval_steps: int
    prompt: str
    tokens: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointsSpec:
    """When state is saved, decided."""

    interval_steps: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """Pretraining of a language model on one dataset, every default filled in."""

    dataset: str
    preset: str
    architecture: Architecture
    tokenizer: TokenizerSpec
    steps: int
    seed: int
    optimization: OptimizationSpec
    evaluation: EvaluationSpec
    samples: SamplesSpec
    checkpoints: CheckpointsSpec
    precision: Precision
    model: str

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return self.architecture.parameters(self.tokenizer.vocabulary_size)

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one optimizer step trains on."""
        return self.optimization.batch_size * self.architecture.context_length

    @property
    def flops_per_step(self) -> float:
        """Floating-point operations of one step: forward and backward passes of weights and of causal attention.

        For each token: six a weight (two forward, four backward), and for attention twelve a layer, unit of width and
        position seen, which are half of the context on average. Source: Kaplan et al. 2020, arXiv 2001.08361, table 1.
        """
        shape = self.architecture
        attention = 6 * shape.layers * shape.width * shape.context_length
        return float((6 * self.parameters + attention) * self.tokens_per_step)

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` turns back."""
        return dataclasses.asdict(self, dict_factory=_plain)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "TrainSpec":
        """Return the specification behind plain values."""
        return cls(
            dataset=plain["dataset"],
            preset=plain["preset"],
            architecture=Architecture(**plain["architecture"]),
            tokenizer=TokenizerSpec(
                kind=TokenizerKind(plain["tokenizer"]["kind"]), vocabulary_size=plain["tokenizer"]["vocabulary_size"]
            ),
            steps=plain["steps"],
            seed=plain["seed"],
            optimization=OptimizationSpec(**plain["optimization"]),
            evaluation=EvaluationSpec(**plain["evaluation"]),
            samples=SamplesSpec(**plain["samples"]),
            checkpoints=CheckpointsSpec(**plain["checkpoints"]),
            precision=Precision(plain["precision"]),
            model=plain["model"],
        )


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value.value if isinstance(value, enum.Enum) else value for key, value in items}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerDraft:
    """The tokenizer, as asked for."""

    kind: TokenizerKind | None = None
    vocabulary_size: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchitectureDraft:
    """The dimensions that differ from the preset."""

    layers: int | None = None
    width: int | None = None
    heads: int | None = None
    key_value_heads: int | None = None
    feed_forward_width: int | None = None
    context_length: int | None = None
    tied_head: bool | None = None
    rotary_base: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizationDraft:
    """How the weights are moved, as asked for."""

    learning_rate: float | None = None
    final_learning_rate_ratio: float | None = None
    warmup_steps: int | None = None
    weight_decay: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    epsilon: float | None = None
    clip_norm: float | None = None
    batch_size: int | None = None
    micro_batch_size: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationDraft:
    """How progress is measured, as asked for."""

    interval_steps: int | None = None
    sequences: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplesDraft:
    """Text drawn on the way, as asked for."""

    interval_steps: int | None = None
    prompt: str | None = None
    tokens: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointsDraft:
    """When state is saved, as asked for."""

    interval_steps: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainDraft:
    """Pretraining as a caller asks for it; what is None or empty is left to the service."""

    dataset: str
    preset: str = ""
    architecture: ArchitectureDraft = ArchitectureDraft()
    tokenizer: TokenizerDraft = TokenizerDraft()
    steps: int | None = None
    seed: int | None = None
    optimization: OptimizationDraft = OptimizationDraft()
    evaluation: EvaluationDraft = EvaluationDraft()
    samples: SamplesDraft = SamplesDraft()
    checkpoints: CheckpointsDraft = CheckpointsDraft()
    precision: Precision | None = None
    model: str = ""
