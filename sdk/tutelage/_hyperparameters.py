"""Hyperparameters: flat names for every field of a TrainSpec.

`client.train(..., learning_rate=1e-3)` sets `spec.optimization.learning_rate`, and so does
`tutelage train --learning-rate 1e-3`. What is not given is chosen by the service and shown in the job.
"""

import dataclasses
from typing import Any, Literal, TypedDict

from tutelage._errors import ErrorDetails, FieldViolation, InvalidArgument
from tutelage._names import dataset_name


class Hyperparameters(TypedDict, total=False):
    """What `train` takes beside the dataset, all optional; ranges and defaults are in the command's help."""

    preset: str
    steps: int
    seed: int
    model: str
    tokenizer: Literal["bytes", "bpe"]
    vocabulary_size: int
    layers: int
    width: int
    heads: int
    key_value_heads: int
    feed_forward_width: int
    context_length: int
    tied_head: bool
    rotary_base: float
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
    evaluation_interval_steps: int
    evaluation_sequences: int
    sample_interval_steps: int
    sample_prompt: str
    sample_tokens: int
    checkpoint_interval_steps: int
    precision: Literal["fp32", "bf16"]


@dataclasses.dataclass(frozen=True)
class Row:
    """One hyperparameter: its flat name, the field of TrainSpec that it sets, its type, and what it means."""

    name: str
    path: str
    kind: type
    help: str
    choices: tuple[str, ...] = ()


ROWS = (
    Row("preset", "preset", str, 'A ready-made shape with its learning rate and batch size. Default: "tiny".'),
    Row("steps", "steps", int, "Optimizer steps; 1 to 10,000,000. Default: the preset's."),
    Row("seed", "seed", int, "Seed of weights and data order. Default: chosen by the service, and shown."),
    Row("model", "model", str, "Id of the model to publish a version of. Default: {dataset}-{preset}."),
    Row("tokenizer", "tokenizer.kind", str, "How text becomes tokens. Default: bytes.", ("bytes", "bpe")),
    Row(
        "vocabulary_size", "tokenizer.vocabulary_size", int, "Tokens of a BPE vocabulary; 258 to 131072. Default: 4096."
    ),
    Row("layers", "architecture.layers", int, "Transformer blocks; 1 to 128. Default: the preset's."),
    Row("width", "architecture.width", int, "Model width, a multiple of heads; 8 to 16384. Default: the preset's."),
    Row("heads", "architecture.heads", int, "Query heads; 1 to 128. Default: the preset's."),
    Row("key_value_heads", "architecture.key_value_heads", int, "Key and value heads; divides heads. Default: heads."),
    Row(
        "feed_forward_width",
        "architecture.feed_forward_width",
        int,
        "Width of the feed-forward layer; 8 to 65536. Default: 8/3 of width, rounded up to a multiple of 64.",
    ),
    Row("context_length", "architecture.context_length", int, "Longest sequence, in tokens; 8 to 32768."),
    Row("tied_head", "architecture.tied_head", bool, "Share the weights of the embedding with the output layer."),
    Row("rotary_base", "architecture.rotary_base", float, "Base of the rotary frequencies. Default: 10000."),
    Row(
        "learning_rate",
        "optimization.learning_rate",
        float,
        "Highest learning rate, reached after warm-up; above 0, at most 1. Default: the preset's.",
    ),
    Row(
        "final_learning_rate_ratio",
        "optimization.final_learning_rate_ratio",
        float,
        "Learning rate at the last step, as a share of the highest; 0 to 1. Default: 0.1.",
    ),
    Row(
        "warmup_steps",
        "optimization.warmup_steps",
        int,
        "Steps of linear warm-up. Default: 5% of the steps, at most 200.",
    ),
    Row(
        "weight_decay", "optimization.weight_decay", float, "Decoupled weight decay of matrices; 0 to 1. Default: 0.1."
    ),
    Row("beta1", "optimization.beta1", float, "Decay of the first moment; 0 to below 1. Default: 0.9."),
    Row("beta2", "optimization.beta2", float, "Decay of the second moment; 0 to below 1. Default: 0.95."),
    Row("epsilon", "optimization.epsilon", float, "Added to the root of the second moment. Default: 1e-8."),
    Row("clip_norm", "optimization.clip_norm", float, "Largest norm of the gradient; 0 switches it off. Default: 1."),
    Row("batch_size", "optimization.batch_size", int, "Sequences in one step; 1 to 65536. Default: the preset's."),
    Row(
        "micro_batch_size",
        "optimization.micro_batch_size",
        int,
        "Sequences computed at once; divides batch_size. Default: batch_size.",
    ),
    Row(
        "evaluation_interval_steps",
        "evaluation.interval_steps",
        int,
        "Steps between evaluations; 0: at the end only. Default: a tenth of the steps.",
    ),
    Row("evaluation_sequences", "evaluation.sequences", int, "Sequences in one evaluation. Default: 64, or all."),
    Row(
        "sample_interval_steps",
        "samples.interval_steps",
        int,
        "Steps between samples; 0 draws none. Default: a tenth of the steps.",
    ),
    Row("sample_prompt", "samples.prompt", str, "What the model continues in samples; at most 2000 characters."),
    Row("sample_tokens", "samples.tokens", int, "Tokens of one sample; 1 to 1000. Default: 100."),
    Row(
        "checkpoint_interval_steps",
        "checkpoints.interval_steps",
        int,
        "Steps between checkpoints. Default: a tenth of the steps, at least 10 and at most 1000.",
    ),
    Row("precision", "precision", str, "The arithmetic. Default: chosen by the worker.", ("fp32", "bf16")),
)
BY_NAME = {row.name: row for row in ROWS}


def build_train_spec(dataset: str, *, hyperparameters: Hyperparameters) -> Any:
    """Returns a TrainSpec with exactly what was given; what is None counts as not given.

    Raises: InvalidArgument for a hyperparameter that does not exist or whose value does not fit its type.
    """
    from tutelage.v1 import training_pb2

    spec = training_pb2.TrainSpec(dataset=dataset_name(dataset))
    for name, value in hyperparameters.items():
        if name not in BY_NAME:
            refuse(name, f"there is no such hyperparameter{suggestion(name)}")
        if value is not None:
            set_field(spec, BY_NAME[name], value)
    return spec


def set_field(spec: Any, row: Row, value: Any) -> None:
    """Sets one field of the specification."""
    *parents, leaf = row.path.split(".")
    for parent in parents:
        spec = getattr(spec, parent)
    field = spec.DESCRIPTOR.fields_by_name[leaf]
    if row.choices:
        value = enum_number(row, value, field.enum_type)
    try:
        setattr(spec, leaf, row.kind(value) if row.kind is float else value)
    except (TypeError, ValueError) as error:
        refuse(row.name, f"{value!r} is not a usable {row.kind.__name__}: {error}")


def enum_number(row: Row, value: str, descriptor: Any) -> int:
    """Returns the number of a choice."""
    if value not in row.choices:
        refuse(row.name, f"{value!r} is none of {', '.join(row.choices)}")
    prefix = descriptor.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return int(descriptor.values_by_name[prefix + value.upper()].number)


def suggestion(name: str) -> str:
    """Returns a hint at the nearest name."""
    import difflib

    near = difflib.get_close_matches(name, BY_NAME, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def refuse(name: str, description: str) -> None:
    """Raises InvalidArgument about one hyperparameter."""
    violation = FieldViolation(name, description)
    raise InvalidArgument(f"{name}: {description}", details=ErrorDetails(field_violations=(violation,)))
