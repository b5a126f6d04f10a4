"""The state of every rule is put back to the last bit, or refused by name."""

import math

import pytest
import torch
from torch import Tensor

from tests.training.moving import ADAFACTOR, ADAMW, MUON, RMSPROP, SGD, each_rule, model_of, moved, named, rule_for


@each_rule
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_going_on_from_any_step_gives_the_same_bits(rule: int, momentum: float) -> None:
    fields = {"momentum": momentum} if rule in (SGD, RMSPROP, MUON) else {}
    straight = model_of()
    expected = moved(straight, rule_for(straight, rule, **fields), steps=range(5))
    for halt in range(5):
        first = model_of()
        optimizers = rule_for(first, rule, **fields)
        moved(first, optimizers, steps=range(halt))
        kept = {name: tensor.clone() for name, tensor in optimizers.tensors().items()}
        second = model_of(1)
        second.load_state_dict(first.state_dict())
        others = rule_for(second, rule, **fields)
        others.restore(kept)
        after = moved(second, others, steps=range(halt, 5))
        assert all(torch.equal(expected[name], after[name]) for name in expected), halt


@each_rule
def test_the_state_is_put_back_as_a_copy(rule: int) -> None:
    model = model_of()
    optimizers = rule_for(model, rule)
    assert optimizers.tensors() == {}
    moved(model, optimizers, steps=range(2))
    kept = {name: tensor.clone() for name, tensor in optimizers.tensors().items()}
    assert len(kept) >= len(named(model))
    given = {name: tensor.clone() for name, tensor in kept.items()}
    other = rule_for(model_of(), rule)
    other.restore(given)
    for tensor in given.values():
        tensor.fill_(9.0)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in other.tensors().items())


@each_rule
def test_nothing_put_back_is_the_beginning(rule: int) -> None:
    model = model_of()
    optimizers = rule_for(model, rule)
    nothing = optimizers.tensors()
    moved(model, optimizers, steps=range(2))
    optimizers.restore(nothing)
    assert optimizers.tensors() == {}


@pytest.mark.parametrize(
    ("rule", "name", "tensor", "message"),
    [
        (ADAMW, "exp_avg.surprise", torch.zeros(1), "exp_avg.surprise is unknown"),
        (ADAMW, "exp_avg.embedding.weight", None, "exp_avg.embedding.weight is missing"),
        (ADAMW, "exp_avg.embedding.weight", torch.zeros(1), r"has shape \(1,\)"),
        (ADAMW, "exp_avg.embedding.weight", torch.zeros(7, 8, dtype=torch.float64), "torch.float64, not"),
        (ADAMW, "exp_avg_sq.embedding.weight", torch.full((7, 8), math.nan), "exp_avg_sq.* not finite"),
        (MUON, "momentum_buffer.blocks.0.attention.qkv.weight.key", None, "qkv.weight.key is missing"),
        (ADAFACTOR, "row_var.embedding.weight", torch.zeros(7, 8), "row_var.embedding.weight has shape"),
        (SGD, "momentum_buffer.head.weight", None, "momentum_buffer.head.weight is missing"),
    ],
)
def test_a_state_for_other_weights_is_refused_by_name(
    rule: int, name: str, tensor: Tensor | None, message: str
) -> None:
    model = model_of()
    optimizers = rule_for(model, rule)
    moved(model, optimizers, steps=range(1))
    tensors = dict(optimizers.tensors())
    tensors.pop(name, None)
    if tensor is not None:
        tensors[name] = tensor
    fresh = rule_for(model_of(), rule)
    with pytest.raises(ValueError, match=message):
        fresh.restore(tensors)
    assert fresh.tensors() == {}


def test_a_state_with_many_faults_names_the_first_and_counts_the_rest() -> None:
    with pytest.raises(ValueError, match=r"s0 is unknown.*and \d+ more"):
        rule_for(model_of(), SGD, momentum=0.0).restore({f"s{index}": torch.zeros(1) for index in range(9)})
