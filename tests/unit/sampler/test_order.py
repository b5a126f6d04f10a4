"""What a caller ordered."""

import pytest

from trainer_worker.sampler.errors import InvalidRequest
from trainer_worker.sampler.order import read_order, refuse_answers_too_large
from trainer_worker.trainer.engine.generate import DrawRule
from tutelage.v1.sampling_pb2 import SampleRequest


def fields_refused(**fields: object) -> list[str]:
    with pytest.raises(InvalidRequest) as refusal:
        read_order(SampleRequest(**fields))  # type: ignore[arg-type]
    return [violation.field for violation in refusal.value.violations]


def test_defaults_are_those_of_the_proto() -> None:
    order = read_order(SampleRequest(prompt="To be"))
    assert (order.tokens_max, order.rule, order.alternatives) == (100, DrawRule(0.8, 0, 1.0), None)
    assert len(order.seeds) == 1 and order.stops == ()


def test_zeros_that_were_given_are_not_defaults() -> None:
    order = read_order(SampleRequest(temperature=0, top_k=0, seed=0, logprobs=0))
    assert (order.rule.temperature, order.seeds, order.alternatives) == (0, (0,), 0)


def test_seeds_count_up_and_begin_again_after_the_last() -> None:
    assert read_order(SampleRequest(seed=2**32 - 1, samples=3)).seeds == (2**32 - 1, 0, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", 4097),
        ("temperature", -0.1),
        ("temperature", 10.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_p", float("nan")),
        ("samples", 0),
        ("samples", 17),
        ("logprobs", -1),
        ("logprobs", 21),
        ("prompt", "x" * 100_001),
    ],
)
def test_a_value_outside_its_bounds_is_refused_by_name(field: str, value: object) -> None:
    assert fields_refused(**{field: value}) == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 4096),
        ("temperature", 10),
        ("top_p", 1e-9),
        ("samples", 16),
        ("logprobs", 20),
        ("prompt", "é" * 10**5),
    ],
)
def test_a_value_at_its_bound_is_taken(field: str, value: object) -> None:
    read_order(SampleRequest(**{field: value}))  # type: ignore[arg-type]


def test_stop_texts_are_refused_by_their_place() -> None:
    assert fields_refused(stop=["ok", "", "x" * 101]) == ["stop[1]", "stop[2]"]
    assert fields_refused(stop=["x"] * 9) == ["stop"]


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert fields_refused(top_p=2, samples=99, stop=[""]) == ["samples", "top_p", "stop[0]"]


def test_unknown_fields_are_refused() -> None:
    request = SampleRequest.FromString(SampleRequest(prompt="x").SerializeToString() + b"\xf8\x07\x01")
    with pytest.raises(InvalidRequest, match="#127"):
        read_order(request)


def test_an_answer_that_fits_no_message_is_refused_before_it_is_drawn() -> None:
    refuse_answers_too_large(read_order(SampleRequest(samples=16, max_tokens=4096)))
    with pytest.raises(InvalidRequest, match="StreamSample"):
        refuse_answers_too_large(read_order(SampleRequest(samples=16, max_tokens=4096, logprobs=1)))
