"""Hyperparameters: every field of a TrainSpec has a flat name, and nothing is lost or made up on the way."""

import typing
from collections.abc import Iterator
from typing import Any

import pytest

from tutelage import Hyperparameters, InvalidArgument
from tutelage._hyperparameters import ROWS, build_train_spec
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


def test_every_field_of_a_specification_has_a_flat_name() -> None:
    assert {row.path for row in ROWS} | {"dataset"} == set(leaves(training_pb2.TrainSpec.DESCRIPTOR))
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_the_types_are_those_of_the_signature() -> None:
    hints = typing.get_type_hints(Hyperparameters)
    assert list(hints) == [row.name for row in ROWS]
    for row in ROWS:
        assert hints[row.name] == (typing.Literal[row.choices] if row.choices else row.kind)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
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


def test_every_field_of_a_sample_request_has_an_option() -> None:
    fields = {field.name for field in sampling_pb2.SampleRequest.DESCRIPTOR.fields}
    assert fields == set(SamplingOptions.__annotations__) | {"model", "prompt"}


def test_every_option_is_described() -> None:
    for name in SamplingOptions.__annotations__:
        assert f"    {name}: " in (SamplingOptions.__doc__ or "")


def test_one_stop_text_needs_no_list() -> None:
    assert list(build_sample_request("m", "", options={"stop": "\n\n"}).stop) == ["\n\n"]
    assert list(build_sample_request("m", "", options={"stop": ("a", "b")}).stop) == ["a", "b"]
