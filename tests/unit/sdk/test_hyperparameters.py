"""Hyperparameters: every field of a TrainSpec has a flat name, and nothing is lost or made up on the way."""

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from tutelage import Hyperparameters, InvalidArgument, Lora
from tutelage._hyperparameter_rows import NOT_TUNING, ROWS, TUNING_HELP, TUNING_ROWS
from tutelage._hyperparameters import TuningHyperparameters, build_fine_tune_spec, build_train_spec
from tutelage._sampling_options import SamplingOptions, build_sample_request
from tutelage.v1 import sampling_pb2, training_pb2


def leaves(descriptor: Any, prefix: str = "") -> Iterator[str]:
    """Yields the path of each field that holds no other message."""
    for field in descriptor.fields:
        if field.message_type:
            yield from leaves(field.message_type, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def example(row: Any) -> Any:
    return row.choices[-1] if row.choices else {int: 7, float: 0.25, str: "x", bool: True}[row.kind]


def read(spec: Any, path: str) -> Any:
    for part in path.split("."):
        spec = getattr(spec, part)
    return spec


def paths(rows: Any) -> set[str]:
    return {row.path for row in rows} | {"dataset", "mixture.dataset", "mixture.weight"}


def test_every_field_of_a_specification_has_a_flat_name() -> None:
    assert paths(ROWS) == set(leaves(training_pb2.TrainSpec.DESCRIPTOR))
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_every_field_of_fine_tuning_has_a_flat_name() -> None:
    lora = {f"lora.{field.name}" for field in training_pb2.LoraSpec.DESCRIPTOR.fields}
    assert paths(TUNING_ROWS) | lora | {"base"} == set(leaves(training_pb2.FineTuneSpec.DESCRIPTOR))
    assert {field.name for field in dataclasses.fields(Lora)} == {name.removeprefix("lora.") for name in lora}


def test_what_is_said_of_fine_tuning_is_said_of_something() -> None:
    assert set(TUNING_HELP) <= {row.name for row in TUNING_ROWS}
    assert {row.name for row in ROWS} >= NOT_TUNING


@pytest.mark.parametrize(("kind", "rows"), [(Hyperparameters, ROWS), (TuningHyperparameters, TUNING_ROWS)])
def test_the_types_are_those_of_the_signature(kind: Any, rows: Any) -> None:
    hints = typing.get_type_hints(kind)
    assert set(hints) == {row.name for row in rows} | {"mixture"}
    for row in rows:
        assert hints[row.name] == (typing.Literal[row.choices] if row.choices else row.kind)


def test_the_choices_are_those_of_the_protos() -> None:
    for row in ROWS:
        field = field_of(training_pb2.TrainSpec.DESCRIPTOR, row.path)
        if field.enum_type and row.choices:
            words = [value.name.lower() for value in field.enum_type.values[1:]]
            assert all(word.endswith(choice) for word, choice in zip(words, row.choices, strict=True)), row.name


def field_of(descriptor: Any, path: str) -> Any:
    *parents, leaf = path.split(".")
    for parent in parents:
        descriptor = descriptor.fields_by_name[parent].message_type
    return descriptor.fields_by_name[leaf]


ALONE = [row for row in ROWS if not row.also and row.name != "tokenizer_dataset"]


@pytest.mark.parametrize("row", ALONE, ids=lambda row: row.name)
def test_each_one_sets_its_field_and_no_other(row: Any) -> None:
    spec = build_train_spec("plays", hyperparameters={row.name: example(row)})  # type: ignore[misc]
    assert spec.dataset == "projects/-/datasets/plays"
    wanted = training_pb2.TrainSpec(dataset="projects/-/datasets/plays")
    *parents, leaf = row.path.split(".")
    target: Any = wanted
    for parent in parents:
        target = getattr(target, parent)
    setattr(target, leaf, read(spec, row.path))
    assert spec == wanted
    assert read(spec, row.path)


def test_what_is_not_given_stays_unset() -> None:
    spec = build_train_spec("plays", hyperparameters={"steps": None, "preset": "tiny"})  # type: ignore[typeddict-item]
    assert not spec.HasField("steps")
    assert not spec.HasField("architecture")


def test_zero_is_given() -> None:
    spec = build_train_spec("plays", hyperparameters={"clip_norm": 0, "seed": 0, "tied_head": False})
    assert spec.optimization.HasField("clip_norm")
    assert spec.HasField("seed")
    assert spec.architecture.HasField("tied_head")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layers", 3.5),
        ("layers", "three"),
        ("seed", -1),
        ("seed", 2**32),
        ("steps", 2**63),
        ("learning_rate", "fast"),
        ("preset", 3),
        ("preset", "\ud800"),
        ("tokenizer", "words"),
        ("precision", "fp8"),
        ("optimizer", "adamv"),
        ("compile", "on"),
        ("compile", 1),
        ("packing", "no"),
        ("mixture", ["logs"]),
        ("layer", 3),
        ("", 1),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        build_train_spec("plays", hyperparameters={name: value})  # type: ignore[misc]
    assert caught.value.field_violations[0].field == name


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(InvalidArgument, match="did you mean 'learning_rate'"):
        build_train_spec("plays", hyperparameters={"learningrate": 1})  # type: ignore[typeddict-unknown-key]


def test_the_nearest_word_is_suggested() -> None:
    with pytest.raises(InvalidArgument, match="did you mean 'muon'"):
        build_train_spec("plays", hyperparameters={"optimizer": "moun"})  # type: ignore[typeddict-item]


def test_one_dropout_stands_for_three_unless_one_is_named() -> None:
    spec = build_train_spec("plays", hyperparameters={"attention_dropout": 0, "dropout": 0.1})
    found = spec.regularization
    assert (found.residual_dropout, found.attention_dropout, found.embedding_dropout) == (0.1, 0, 0.1)
    assert found.HasField("attention_dropout")


def test_compiling_is_on_off_or_left_to_the_worker() -> None:
    def compilation(**given: Any) -> int:
        return int(build_train_spec("plays", hyperparameters=given).compute.compilation)  # type: ignore[arg-type]

    assert compilation(compile=True) == training_pb2.COMPILATION_ON
    assert compilation(compile=False) == training_pb2.COMPILATION_OFF
    assert compilation() == training_pb2.COMPILATION_UNSPECIFIED


def test_a_tokenizer_that_was_uploaded_is_one_of_a_file() -> None:
    spec = build_train_spec("plays", hyperparameters={"tokenizer_dataset": "llama"})
    assert spec.tokenizer.dataset == "projects/-/datasets/llama"
    assert spec.tokenizer.kind == training_pb2.TOKENIZER_KIND_FILE
    spec = build_train_spec("plays", hyperparameters={"tokenizer_dataset": "llama", "tokenizer": "bytes"})
    assert spec.tokenizer.kind == training_pb2.TOKENIZER_KIND_BYTES, "what contradicts itself is left to the service"


def test_a_mixture_names_datasets_and_weights() -> None:
    spec = build_train_spec("plays", hyperparameters={"mixture": {"sonnets": 0.5, "projects/p/datasets/logs": 2}})
    assert [(part.dataset, part.weight) for part in spec.mixture] == [
        ("projects/-/datasets/sonnets", 0.5),
        ("projects/p/datasets/logs", 2.0),
    ]


@pytest.mark.parametrize("mixture", [{"sonnets": "much"}, {3: 1}])
def test_a_mixture_that_cannot_be_sent_is_refused_by_name(mixture: Any) -> None:
    with pytest.raises(InvalidArgument, match="mixture"):
        build_train_spec("plays", hyperparameters={"mixture": mixture})


def tuned(lora: Any) -> Any:
    return build_fine_tune_spec("chat", "talks", lora=lora, hyperparameters={})


def test_adapters_are_given_in_any_of_three_ways() -> None:
    given = {"rank": 8, "alpha": 16, "dropout": 0.05, "targets": ["query", "value"], "rank_stabilized": True}
    wanted = training_pb2.LoraSpec(**given)
    assert tuned(Lora(**given)).lora == wanted
    assert tuned(given).lora == wanted
    for lora in (True, {}, Lora()):
        spec = tuned(lora)
        assert spec.HasField("lora")
        assert spec.lora == training_pb2.LoraSpec()
    assert list(tuned({"targets": "query"}).lora.targets) == ["query"]


@pytest.mark.parametrize("lora", [None, False])
def test_without_adapters_all_weights_move(lora: Any) -> None:
    assert not tuned(lora).HasField("lora")


@pytest.mark.parametrize("lora", [{"rang": 8}, {"rank": "big"}, {"rank": 2.5}, {"targets": 3}, 16, "rank=16"])
def test_adapters_that_cannot_be_sent_are_refused_by_name(lora: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        tuned(lora)
    assert caught.value.field_violations[0].field.startswith("lora")


@pytest.mark.parametrize(
    ("base", "wanted"),
    [
        ("chat", "projects/-/models/chat"),
        ("chat/versions/2", "projects/-/models/chat/versions/2"),
        ("chat-x7k2/checkpoints/200", "projects/-/jobs/chat-x7k2/checkpoints/200"),
        ("projects/p/models/chat", "projects/p/models/chat"),
    ],
)
def test_a_base_is_a_model_a_version_or_a_checkpoint(base: str, wanted: str) -> None:
    assert build_fine_tune_spec(base, "talks", lora=None, hyperparameters={}).base == wanted
    named = types.SimpleNamespace(name=base)
    assert build_fine_tune_spec(named, "talks", lora=None, hyperparameters={}).base == wanted


def test_fine_tuning_refuses_what_the_base_has_already() -> None:
    for name in NOT_TUNING - {"context_length"}:
        with pytest.raises(InvalidArgument, match="no such hyperparameter"):
            build_fine_tune_spec("chat", "talks", lora=None, hyperparameters={name: 1})  # type: ignore[misc]


def test_every_field_of_a_sample_request_has_an_option() -> None:
    fields = {field.name for field in sampling_pb2.SampleRequest.DESCRIPTOR.fields}
    assert fields == set(SamplingOptions.__annotations__) | {"model", "prompt"}


def test_every_option_is_described() -> None:
    for name in SamplingOptions.__annotations__:
        assert f"    {name}: " in (SamplingOptions.__doc__ or "")


def test_one_stop_text_needs_no_list() -> None:
    assert list(build_sample_request("m", "", options={"stop": "\n\n"}).stop) == ["\n\n"]
    assert list(build_sample_request("m", "", options={"stop": ("a", "b")}).stop) == ["a", "b"]
