"""What is trained and how, as the service sees it."""

import dataclasses

from tutelage._values.value import Value, WireEnum


class Precision(WireEnum):
    """The arithmetic of forward and backward passes. Weights and optimizer state are always fp32."""

    UNSPECIFIED = "UNSPECIFIED"
    """Chosen by the worker when training starts: bf16 where the device computes in it natively, else fp32."""
    FP32 = "FP32"
    """32-bit floats throughout."""
    BF16 = "BF16"
    """bfloat16 autocast over fp32 weights."""


class TokenizerKind(WireEnum):
    """How text becomes tokens."""

    UNSPECIFIED = "UNSPECIFIED"
    """The service chooses bytes."""
    BYTES = "BYTES"
    """One token for each byte of UTF-8: 256 tokens and one end-of-text."""
    BPE = "BPE"
    """Byte-pair encoding trained on the training part of the dataset."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerSpec(Value):
    """The tokenizer to use."""

    kind: TokenizerKind
    """The kind. Default: bytes."""
    vocabulary_size: int | None
    """Number of tokens of a trained BPE vocabulary, end-of-text included; 258 to 131072. Default 4096. Refused for
    bytes, which always have 257.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Architecture(Value):
    """The shape of a decoder-only transformer (RMSNorm, rotary positions, SwiGLU).

    Unset fields come from the preset.
    """

    layers: int | None
    """Number of transformer blocks; 1 to 128."""
    width: int | None
    """Model width; 8 to 16384, a multiple of `heads`, with an even number per head."""
    heads: int | None
    """Query heads; 1 to 128."""
    key_value_heads: int | None
    """Key and value heads; divides `heads`. Default: `heads`."""
    feed_forward_width: int | None
    """Width of the feed-forward layer; 8 to 65536. Default: 8/3 of `width`, rounded up to a multiple of 64."""
    context_length: int | None
    """Longest sequence, in tokens; 8 to 32768."""
    tied_head: bool | None
    """Whether the output layer shares the weights of the embedding."""
    rotary_base: float | None
    """Base of the rotary frequencies. Default 10000."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizationSpec(Value):
    """How the weights are moved: AdamW with warm-up and a cosine schedule."""

    learning_rate: float | None
    """Highest learning rate, reached after warm-up; above 0, at most 1. Default: the preset's."""
    final_learning_rate_ratio: float | None
    """Learning rate at the last step, as a share of the highest; 0 to 1. Default 0.1."""
    warmup_steps: int | None
    """Steps of linear warm-up; 0 to the number of steps. Default: 5% of the steps, at most 200."""
    weight_decay: float | None
    """Decoupled weight decay of matrices; norms and embeddings do not decay. 0 to 1. Default 0.1."""
    beta1: float | None
    """Decay of the first moment; 0 to below 1. Default 0.9."""
    beta2: float | None
    """Decay of the second moment; 0 to below 1. Default 0.95."""
    epsilon: float | None
    """Added to the root of the second moment; above 0. Default 1e-8."""
    clip_norm: float | None
    """Largest global norm of the gradient; larger ones are scaled down to it. 0 switches clipping off. Default 1."""
    batch_size: int | None
    """Sequences in one optimizer step; 1 to 65536. Default: the preset's."""
    micro_batch_size: int | None
    """Sequences computed at once; divides `batch_size`, and the gradients of the parts are added up. Default:
    `batch_size`.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSpec(Value):
    """How the validation part of the dataset is used."""

    interval_steps: int | None
    """Steps between evaluations; 0 evaluates at the end only. Default: a tenth of the steps."""
    sequences: int | None
    """Sequences in one evaluation, always the same ones; 1 to 100000. Default: 64, or all there are."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplesSpec(Value):
    """Text drawn from the model while it trains, so that people can see it learn."""

    interval_steps: int | None
    """Steps between samples; 0 draws none. Default: a tenth of the steps."""
    prompt: str | None
    """What the model continues; at most 2000 characters. Default: the first words of the validation part."""
    tokens: int | None
    """Tokens to draw; 1 to 1000. Default 100."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointsSpec(Value):
    """When the full state is saved. A checkpoint is also written at the start, at the end, on pause and on drain."""

    interval_steps: int | None
    """Steps between checkpoints; at least 1. Default: a tenth of the steps, at least 10 and at most 1000."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSpec(Value):
    """Pretraining of a language model on one dataset."""

    dataset: str
    """The dataset, `projects/{project}/datasets/{dataset}`."""
    preset: str
    """Name of a ready-made shape with its learning rate and batch size, such as "tiny"; `Cluster.GetServerInfo`
    lists them. Default "tiny".
    """
    architecture: Architecture | None
    """Dimensions that differ from the preset."""
    tokenizer: TokenizerSpec | None
    """How text becomes tokens."""
    steps: int | None
    """Optimizer steps; 1 to 10,000,000. Default: the preset's."""
    seed: int | None
    """Seed of weights and data order. Default: chosen by the service, and shown."""
    optimization: OptimizationSpec | None
    """How the weights are moved."""
    evaluation: EvaluationSpec | None
    """How progress is measured on held-out text."""
    samples: SamplesSpec | None
    """Text drawn on the way."""
    checkpoints: CheckpointsSpec | None
    """When state is saved."""
    precision: Precision
    """The arithmetic."""
    model: str
    """Id of the model under which the result is published as a new version. Default: `{dataset}-{preset}`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset(Value):
    """A ready-made shape with settings that suit it."""

    name: str
    """Its name."""
    description: str
    """One sentence on what it is good for."""
    architecture: Architecture | None
    """The full shape."""
    optimization: OptimizationSpec | None
    """Learning rate and batch size."""
    steps: int
    """Default number of steps."""
    parameters: int
    """Number of weights with the byte tokenizer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast(Value):
    """What a run would take, before it runs; estimates come from the shapes and from this cluster's own history."""

    parameters: int
    """Number of weights."""
    flops: float
    """Floating-point operations of the whole run."""
    tokens: int
    """Tokens that the run trains on, repetitions included."""
    epochs: float
    """How often the run goes through the training part of the dataset."""
    memory_bytes: int
    """Peak memory of the trainer, in bytes."""
    duration_seconds: float | None
    """Training time, in seconds, if the cluster has run anything to compare with; else unset."""
    duration_low_seconds: float | None
    """Half of such runs would fall between these, in seconds."""
    duration_high_seconds: float | None
    """See duration_low_seconds."""
    queue_seconds: float | None
    """Expected time in the queue, in seconds; unset if there is no worker or no history."""
    checkpoint_bytes: int
    """Size of one checkpoint, in bytes."""
    basis: str
    """What the estimate of time rests on, in words."""
    warnings: tuple[str, ...]
    """Things worth knowing before starting, such as a dataset that is repeated many times."""
