"""Hyperparameters: flat names for every field of a specification.

`client.train(..., learning_rate=1e-3)` sets `spec.optimization.learning_rate`, and so does
`tutelage train --learning-rate 1e-3`. What is not given is chosen by the service and shown in the job.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from tutelage._errors import local_refusal
from tutelage._hyperparameter_rows import ROWS, TUNING_ROWS, Row
from tutelage._names import base_name, dataset_name, model_name, short_name
from tutelage._tuning import set_lora, set_mixture

if TYPE_CHECKING:
    from tutelage._tuning import Lora


class CommonHyperparameters(TypedDict, total=False):
    """What `train` and `fine_tune` both take, all optional; ranges and defaults are in the help of the commands."""

    mixture: Mapping[str, float]
    steps: int
    seed: int
    model: str
    context_length: int
    packing: bool
    loss_on: Literal["all", "completion"]
    chat_template: str
    deduplicate: bool
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "adafactor", "muon"]
    learning_rate: float
    schedule: Literal["constant", "linear", "cosine", "warmup_stable_decay", "inverse_square_root"]
    final_learning_rate_ratio: float
    warmup_steps: int
    decay_ratio: float
    batch_size: int
    clip_norm: float
    momentum: float
    nesterov: bool
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float
    dropout: float
    residual_dropout: float
    attention_dropout: float
    embedding_dropout: float
    label_smoothing: float
    early_stopping: int
    early_stopping_min_delta: float
    publish_best: bool
    evaluation_interval_steps: int
    evaluation_sequences: int
    sample_interval_steps: int
    sample_prompt: str
    sample_tokens: int
    checkpoint_interval_steps: int
    precision: Literal["fp32", "bf16", "tf32", "fp16"]
    micro_batch_size: int
    compile: bool
    activation_checkpointing: bool


class TuningHyperparameters(CommonHyperparameters, total=False):
    """What `fine_tune` takes beside base, dataset and adapters, all optional; ranges and defaults are in the help."""

    method: Literal["sft", "dpo", "ipo", "kto", "simpo", "orpo", "reward", "grpo"]
    beta: float
    flipped_share: float
    margin: float
    sft_weight: float
    desirable_weight: float
    undesirable_weight: float
    group_size: int
    answer_tokens: int
    answer_temperature: float
    checker: str
    checker_argument: str
    reward_model: str
    kl_weight: float
    clip_ratio: float
    updates: int


class Hyperparameters(CommonHyperparameters, total=False):
    """What `train` takes beside the dataset, all optional; ranges and defaults are in the command's help."""

    preset: str
    layers: int
    width: int
    heads: int
    key_value_heads: int
    feed_forward_width: int
    tied_head: bool
    rotary_base: float
    tokenizer: Literal["bytes", "bpe", "file"]
    vocabulary_size: int
    tokenizer_dataset: str


def build_train_spec(dataset: str, *, hyperparameters: Hyperparameters) -> Any:
    """Returns a TrainSpec with exactly what was given; what is None counts as not given.

    Raises: InvalidArgument for a hyperparameter that does not exist or whose value does not fit its type.
    """
    from tutelage.v1 import training_pb2

    spec = training_pb2.TrainSpec(dataset=dataset_name(dataset))
    set_all(spec, hyperparameters, ROWS)
    if spec.tokenizer.dataset:
        spec.tokenizer.dataset = dataset_name(spec.tokenizer.dataset)
        spec.tokenizer.kind = spec.tokenizer.kind or training_pb2.TOKENIZER_KIND_FILE
    return spec


def build_fine_tune_spec(
    base: Any,
    dataset: str | None,
    *,
    feedback: Any = None,
    lora: "Lora | Mapping[str, Any] | bool | None",
    hyperparameters: TuningHyperparameters,
) -> Any:
    """Returns a FineTuneSpec with exactly what was given; `base` is a name, or a version or checkpoint that has one.

    Without a base, `model` names it, and the result is its next version. A feedback set is a dataset of the same id.
    Raises: InvalidArgument for a hyperparameter that does not exist or whose value does not fit its type, without a
    base, and unless there is either a dataset or a feedback set.
    """
    from tutelage.v1 import training_pb2

    given: dict[str, Any] = dict(hyperparameters)
    begin = base if base is not None else given.pop("model", None)
    if not begin:
        raise local_refusal("base", "names no model to begin with")
    if (dataset is None) == (feedback is None):
        raise local_refusal("dataset", "give either a dataset or a feedback set to train on")
    rows = dataset if dataset is not None else short_name(str(getattr(feedback, "name", feedback)))
    spec = training_pb2.FineTuneSpec(base=base_name(getattr(begin, "name", begin)), dataset=dataset_name(rows))
    set_all(spec, given, TUNING_ROWS)
    set_lora(spec, lora)
    set_scorer(spec)
    return spec


def set_scorer(spec: Any) -> None:
    """Fills in the name of a reward model, and takes `contains=def` apart into a checker and its argument."""
    if not spec.HasField("grpo"):
        return
    if spec.grpo.reward_model:
        spec.grpo.reward_model = model_name(spec.grpo.reward_model)
    if spec.grpo.HasField("checker") and "=" in spec.grpo.checker.name:
        name, _, argument = spec.grpo.checker.name.partition("=")
        spec.grpo.checker.name = name
        spec.grpo.checker.argument = spec.grpo.checker.argument or argument


def set_all(spec: Any, hyperparameters: Mapping[str, Any], rows: tuple[Row, ...]) -> None:
    """Sets what was given."""
    by_name = {row.name: row for row in rows}
    for name in hyperparameters:
        if name not in by_name and name != "mixture":
            raise local_refusal(name, f"there is no such hyperparameter{hint(name, by_name)}")
    set_mixture(spec, hyperparameters.get("mixture"))
    # A shorthand comes first, so that the field it stands for can still be named on its own.
    for row in sorted(rows, key=lambda row: not row.also):
        if hyperparameters.get(row.name) is not None:
            for path in (row.path, *row.also):
                set_field(spec, row, path, hyperparameters[row.name])


def set_field(spec: Any, row: Row, path: str, value: Any) -> None:
    """Sets one field of the specification."""
    *parents, leaf = path.split(".")
    for parent in parents:
        spec = getattr(spec, parent)
    field = spec.DESCRIPTOR.fields_by_name[leaf]
    if row.kind is bool and not isinstance(value, bool):
        raise local_refusal(row.name, f"{value!r} is neither True nor False")
    if field.enum_type:
        value = enum_number(row, value, field.enum_type)
    try:
        setattr(spec, leaf, row.kind(value) if row.kind is float else value)
    except (TypeError, ValueError) as error:
        raise local_refusal(row.name, f"{value!r} is not a usable {row.kind.__name__}: {error}") from error


def enum_number(row: Row, value: str | bool, descriptor: Any) -> int:
    """Returns the number of a choice; a yes or no is ON or OFF."""
    prefix = descriptor.values_by_number[0].name.removesuffix("UNSPECIFIED")
    if isinstance(value, bool) and row.kind is bool:
        return int(descriptor.values_by_name[f"{prefix}{'ON' if value else 'OFF'}"].number)
    if value not in row.choices:
        near = hint(str(value), row.choices)
        raise local_refusal(row.name, f"{value!r} is none of {', '.join(row.choices)}{near}")
    return int(descriptor.values_by_name[prefix + str(value).upper()].number)


def hint(name: str, known: Any) -> str:
    """Returns a hint at the nearest name."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
