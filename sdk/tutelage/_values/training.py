"""What is trained and how, as the service sees it."""

import dataclasses

from tutelage._values.optimization import ComputeSpec, OptimizationSpec, RegularizationSpec
from tutelage._values.preferences import GrpoSpec, Method, PreferenceSpec
from tutelage._values.value import Value, WireEnum


class Precision(WireEnum):
    """The arithmetic of forward and backward passes. Weights and optimizer state are always fp32."""

    UNSPECIFIED = "UNSPECIFIED"
    """Chosen by the worker when training starts: bf16 where the device computes in it natively, else fp32."""
    FP32 = "FP32"
    """32-bit floats throughout."""
    BF16 = "BF16"
    """bfloat16 autocast over fp32 weights."""
    TF32 = "TF32"
    """fp32 with products rounded to TensorFloat-32; on GPUs only."""
    FP16 = "FP16"
    """16-bit float autocast with a scaled loss; on GPUs only."""


class TokenizerKind(WireEnum):
    """How text becomes tokens."""

    UNSPECIFIED = "UNSPECIFIED"
    """The service chooses bytes."""
    BYTES = "BYTES"
    """One token for each byte of UTF-8: 256 tokens and one end-of-text."""
    BPE = "BPE"
    """Byte-pair encoding trained on the training part of the dataset."""
    FILE = "FILE"
    """A `tokenizer.json` of Hugging Face, uploaded as a dataset of format DATASET_FORMAT_TOKENIZER."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerSpec(Value):
    """The tokenizer to use."""

    kind: TokenizerKind
    """The kind. Default: bytes."""
    vocabulary_size: int | None
    """Number of tokens of a trained BPE vocabulary, end-of-text included; 258 to 131072. Default 4096. Bytes always
    have 257: any other number is refused for them.
    """
    dataset: str
    """For TOKENIZER_KIND_FILE: the dataset that holds the file, `projects/{project}/datasets/{dataset}`."""


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


class LossOn(WireEnum):
    """Which tokens of a row the loss counts."""

    UNSPECIFIED = "UNSPECIFIED"
    """The completion where a row has one, else all."""
    ALL = "ALL"
    """Every token."""
    COMPLETION = "COMPLETION"
    """The completion, or what the assistant says in a conversation."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowsSpec(Value):
    """How the rows of a JSONL or Parquet dataset become sequences. Plain text is one long row and ignores this."""

    packing: bool | None
    """Whether several rows share a sequence, each seeing itself alone. Default true."""
    loss_on: LossOn | None
    """Which tokens the loss counts."""
    chat_template: str | None
    """Jinja template that renders `messages`, as in Hugging Face's `chat_template`; at most 20,000 characters. It runs
    in a sandbox. Default: that of the base model, else ChatML.
    """
    deduplicate: bool | None
    """Whether rows that occur again are left out. Default true."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixturePart(Value):
    """One dataset of a mixture."""

    dataset: str
    """The dataset, `projects/{project}/datasets/{dataset}`."""
    weight: float | None
    """Share of the sequences that come from it, relative to the others and to 1 for the first dataset; above 0, at most
    1000. Default 1.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraSpec(Value):
    """Low-rank adaptation (Hu et al. 2021): the weights of the base stay, and small matrices beside them learn."""

    rank: int | None
    """Rank of the matrices; 1 to 1024. Default 16."""
    alpha: float | None
    """Scale of what they add, divided by the rank; above 0, at most 4096. Default: twice the rank."""
    dropout: float | None
    """Share of their input that is left out while training; 0 to below 1. Default 0."""
    targets: tuple[str, ...]
    """Which projections get them: `query`, `key`, `value`, `out`, `gate`, `up`, `down`. Default: all."""
    rank_stabilized: bool | None
    """Divide alpha by the root of the rank instead (rsLoRA, Kalajdzievski 2023). Default false."""


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
    publish_best: bool | None
    """Whether the weights with the lowest validation loss are published instead of the last ones. Default: only with
    early stopping.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSpec(Value):
    """Pretraining of a language model on one dataset or several."""

    dataset: str
    """The dataset, `projects/{project}/datasets/{dataset}`."""
    preset: str
    """Name of a ready-made shape with its learning rate and batch size, such as "tiny"; `Cluster.GetServerInfo` lists
    them. Default "tiny".
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
    mixture: tuple[MixturePart, ...]
    """Further datasets, each with its share; at most 15. Tokenizer and default prompt come from `dataset`."""
    rows: RowsSpec | None
    """How rows become sequences."""
    regularization: RegularizationSpec | None
    """What keeps the model from learning the text by heart."""
    compute: ComputeSpec | None
    """How a step is computed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuneSpec(Value):
    """Training that goes on from a model."""

    base: str
    """What to begin with: a model, `projects/{project}/models/{model}`, one version of it, or a checkpoint of a job,
    `projects/{project}/jobs/{job}/checkpoints/{step}`. The job shows the exact version.
    """
    dataset: str
    """The dataset, `projects/{project}/datasets/{dataset}`."""
    mixture: tuple[MixturePart, ...]
    """Further datasets, each with its share; at most 15."""
    lora: LoraSpec | None
    """Train low-rank adapters only. Unset: all weights move."""
    steps: int | None
    """Optimizer steps; 1 to 10,000,000. Default 200."""
    seed: int | None
    """Seed of data order, dropout and adapters. Default: chosen by the service, and shown."""
    optimization: OptimizationSpec | None
    """How the weights are moved. Default learning rate: 1e-4, with `lora` 2e-4; default batch size 8."""
    evaluation: EvaluationSpec | None
    """How progress is measured on held-out rows."""
    samples: SamplesSpec | None
    """Text drawn on the way."""
    checkpoints: CheckpointsSpec | None
    """When state is saved."""
    precision: Precision
    """The arithmetic."""
    model: str
    """Id of the model under which the result is published as a new version. Default: the model of the base."""
    rows: RowsSpec | None
    """How rows become sequences."""
    regularization: RegularizationSpec | None
    """What keeps the model from learning the rows by heart."""
    compute: ComputeSpec | None
    """How a step is computed."""
    context_length: int | None
    """Longest sequence, in tokens; 8 to the context of the base. Default: the context of the base, at most 2048."""
    method: Method | None
    """What is learnt from the rows. Default SFT. Each method wants its own kind of rows: see `Method`."""
    preference: PreferenceSpec | None
    """Settings of the methods that learn from preferences."""
    grpo: GrpoSpec | None
    """Settings of GRPO."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportModelSpec(Value):
    """Bringing a model from elsewhere."""

    dataset: str
    """The dataset of format DATASET_FORMAT_MODEL_FILES that holds its files, `projects/{project}/datasets/{dataset}`.
    """
    model: str
    """Id of the model under which it is published. Default: the id of the dataset."""
    base: str
    """For the files of a PEFT adapter: the model or version that the adapter belongs to. It is merged into it."""


class ExportFormat(WireEnum):
    """Files that others can read."""

    UNSPECIFIED = "UNSPECIFIED"
    """The service chooses the folder of Hugging Face."""
    HUGGING_FACE = "HUGGING_FACE"
    """A folder that `transformers` loads: config.json, model.safetensors, tokenizer.json."""
    PEFT = "PEFT"
    """A folder that `peft` loads: the adapters of a version that was tuned with `lora`."""
    GGUF = "GGUF"
    """One GGUF file for llama.cpp, float16 or float32 as the weights allow."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportModelSpec(Value):
    """Writing a model in a form that others read."""

    model: str
    """The model or version, `projects/{project}/models/{model}/versions/{version}`. The job shows the exact version."""
    format: ExportFormat
    """The form. Default: a folder of Hugging Face."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifySpec(Value):
    """Computing steps of a job again, to see whether they come out the same."""

    job: str
    """The job, `projects/{project}/jobs/{job}`."""
    first_step: int | None
    """First step to compute again; it is reached from the newest checkpoint before it. Default: the one after the
    oldest checkpoint that is left.
    """
    steps: int | None
    """How many steps to compute; 1 to 40,000, those from the checkpoint to `first_step` counted. Default 10, or all
    there are.
    """


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
