"""Adapters learn beside frozen weights, as the paper and the library `peft` have it.

B rows   T positions
"""

import copy
import warnings

import peft
import pytest
import torch
from torch import Tensor

from tests.training.peers import SMALL, small_decoder, some_tokens, transformers_twin
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.lora import (
    TARGETS,
    AdaptedLinear,
    adapter_tensors,
    add_adapters,
    hold_cast,
    layers_of,
    merge,
    places,
    restore_adapters,
)
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.peft_files import PATHS
from tutelage.v1.training_pb2 import LoraSpec


def adapted(spec: LoraSpec, *, moved: bool = True, **changes: object) -> Decoder:
    """A small decoder with adapters that add something."""
    model = small_decoder(**changes)
    add_adapters(model, spec, seed=5)
    if moved:
        move(model)
    return model


def move(model: Decoder, *, seed: int = 6) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in adapter_tensors(model).values():
            tensor.add_(torch.empty(tensor.shape).normal_(0.0, 0.1, generator=generator))


def plain(model: Decoder) -> Decoder:
    merged = Decoder(model.config)
    merged.load_state_dict(merge(model))
    return merged


def peft_twin(model: Decoder, spec: LoraSpec) -> peft.PeftModel:
    """The same base with the same adapters, by `peft`."""
    config = peft.LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        target_modules=[PATHS[target].split(".")[1] for target in spec.targets or TARGETS],
        use_rslora=spec.rank_stabilized,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twin = peft.get_peft_model(transformers_twin(small_decoder()), config)
    weights = dict(twin.named_parameters())
    with torch.no_grad():
        for name, tensor in adapter_tensors(model).items():
            weights[their_name(name)].copy_(tensor)
    return twin


def their_name(name: str) -> str:
    _, layer, _, _, _, target, matrix = name.split(".")
    return f"base_model.model.model.layers.{layer}.{PATHS[target]}.lora_{matrix.upper()}.default.weight"


SPECS = {
    "all": LoraSpec(rank=4, alpha=12.0),
    "some of a fused layer": LoraSpec(rank=3, alpha=6.0, targets=["value", "up"]),
    "rank stabilized": LoraSpec(rank=4, alpha=12.0, rank_stabilized=True),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_forward_pass_and_the_gradients_are_those_of_peft(spec: LoraSpec) -> None:
    model, tokens_BT = adapted(spec), some_tokens()
    twin = peft_twin(model, spec)
    logits_BTV, theirs_BTV = model(tokens_BT), twin(tokens_BT).logits
    torch.testing.assert_close(logits_BTV, theirs_BTV, rtol=1e-4, atol=2e-5)
    for output in (logits_BTV, theirs_BTV):
        output.log_softmax(-1)[:, :, 7].mean().backward()
    theirs = {name: weight.grad for name, weight in twin.named_parameters() if weight.requires_grad}
    ours = {their_name(name): weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-3, atol=1e-6)


def test_a_training_step_ends_where_that_of_peft_does() -> None:
    spec, tokens_BT = SPECS["all"], some_tokens()
    model = adapted(spec)
    twin = peft_twin(model, spec)
    for module, logits_BTV in ((model, model(tokens_BT)), (twin, twin(tokens_BT).logits)):
        rule = torch.optim.SGD([weight for weight in module.parameters() if weight.requires_grad], lr=0.1)
        torch.nn.functional.cross_entropy(logits_BTV[:, :-1].flatten(0, 1), tokens_BT[:, 1:].flatten()).backward()
        rule.step()
    weights = dict(twin.named_parameters())
    for name, tensor in adapter_tensors(model).items():
        torch.testing.assert_close(tensor, weights[their_name(name)].detach(), rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_finite_differences() -> None:
    model = adapted(LoraSpec(rank=2), layers=1, key_value_heads=4).double()
    layer = model.blocks[0].attention.qkv
    x_XD = torch.randn(3, SMALL.width, dtype=torch.float64, requires_grad=True)
    weights = list(layer.adapters.parameters())
    assert torch.autograd.gradcheck(lambda x_XD, *weights: layer(x_XD), (x_XD, *weights))


def test_new_adapters_change_nothing() -> None:
    model, tokens_BT = small_decoder(), some_tokens()
    before_BTV = model(tokens_BT)
    add_adapters(model, LoraSpec(), seed=1)
    assert torch.equal(model(tokens_BT), before_BTV)
    assert all(torch.equal(tensor, small_decoder().state_dict()[name]) for name, tensor in merge(model).items())


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_merged_weights_compute_what_adapters_do(spec: LoraSpec) -> None:
    model, tokens_BT = adapted(spec, tied_head=False), some_tokens()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    merged = plain(model)
    torch.testing.assert_close(merged(tokens_BT), model(tokens_BT), rtol=1e-4, atol=2e-5)
    assert not torch.allclose(merged(tokens_BT), small_decoder(tied_head=False)(tokens_BT), atol=1e-2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_only_adapters_learn() -> None:
    model = adapted(LoraSpec(rank=2, targets=["query", "down"]))
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert learning == set(adapter_tensors(model))
    assert learning == {
        f"blocks.{layer}.{place}.{matrix}"
        for layer in range(SMALL.layers)
        for place in ("attention.qkv.adapters.query", "feed_forward.down.adapters.down")
        for matrix in "ab"
    }
    model(some_tokens()).sum().backward()
    assert {name for name, weight in model.named_parameters() if weight.grad is not None} == learning


def test_fused_layers_hold_matrices_for_each_part() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in adapter_tensors(adapted(LoraSpec(rank=3))).items()}
    first = {name.removeprefix("blocks.0."): shape for name, shape in shapes.items() if name.startswith("blocks.0.")}
    assert first["attention.qkv.adapters.query.b"] == (32, 3)
    assert first["attention.qkv.adapters.key.b"] == first["attention.qkv.adapters.value.b"] == (16, 3)
    assert first["attention.qkv.adapters.key.a"] == (3, 32)
    assert first["feed_forward.gate_up.adapters.up.b"] == (48, 3)
    assert first["feed_forward.down.adapters.down.a"] == (3, 48)
    assert len(first) == 2 * len(TARGETS)


@pytest.mark.parametrize("heads", [{"key_value_heads": 1}, {"key_value_heads": 4}, {"own_head_width": 12}])
def test_the_places_of_targets_fill_their_layers(heads: dict[str, int]) -> None:
    model = small_decoder(**heads)
    for name, parts in places(model.config).items():
        rows = len(model.get_parameter(f"blocks.0.{name}.weight"))
        assert [0, *(part.last_row for part in parts)] == [*(part.first_row for part in parts), rows]


def test_the_same_seed_draws_the_same_adapters() -> None:
    one, other = (adapter_tensors(adapted(LoraSpec(), moved=False)) for _ in range(2))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    third = small_decoder()
    add_adapters(third, LoraSpec(), seed=6)
    assert any(not torch.equal(tensor, one[name]) for name, tensor in adapter_tensors(third).items())


def test_a_matrices_are_drawn_like_those_of_peft() -> None:
    model = adapted(LoraSpec(rank=16), moved=False, width=128, heads=4)
    a_RD = adapter_tensors(model)["blocks.0.attention.qkv.adapters.query.a"]
    assert a_RD.abs().max() <= 128**-0.5
    assert a_RD.std().item() == pytest.approx((128 * 3) ** -0.5, rel=0.05)


def test_dropout_acts_on_what_adapters_see_and_only_while_training() -> None:
    model, tokens_BT = adapted(LoraSpec(rank=4, dropout=0.5)), some_tokens()
    quiet = plain(model)
    torch.testing.assert_close(model.eval()(tokens_BT), quiet(tokens_BT), rtol=1e-4, atol=2e-5)
    torch.manual_seed(1)
    one_BTV = model.train()(tokens_BT)
    other_BTV = model(tokens_BT)
    torch.manual_seed(1)
    assert torch.equal(model(tokens_BT), one_BTV)
    assert not torch.allclose(one_BTV, other_BTV)


def test_dropout_is_that_of_a_layer_written_out() -> None:
    layer = adapted(LoraSpec(rank=4, dropout=0.5)).blocks[0].attention.out
    x_XD = torch.randn(6, SMALL.width, requires_grad=True)
    torch.manual_seed(1)
    y_XO = layer(x_XD)
    torch.manual_seed(1)
    seen_XD = torch.nn.functional.dropout(x_XD, 0.5)
    beside = layer.adapters["out"]
    written_XO = x_XD @ layer.weight.T + layer.settings.scale * (seen_XD @ beside.a.T @ beside.b.T)
    torch.testing.assert_close(y_XO, written_XO)
    wanted = (x_XD, beside.a, beside.b)
    for ours, theirs in zip(*(torch.autograd.grad(y.pow(2).sum(), wanted) for y in (y_XO, written_XO)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_layers_with_a_bias_keep_it() -> None:
    model = small_decoder(qkv_bias=True)
    with torch.no_grad():
        model.blocks[0].attention.qkv.bias.normal_()
    before_BTV = model(some_tokens())
    add_adapters(model, LoraSpec(), seed=1)
    torch.testing.assert_close(model(some_tokens()), before_BTV)
    move(model)
    torch.testing.assert_close(plain(model)(some_tokens()), model(some_tokens()), rtol=1e-4, atol=2e-5)


def losses_and_gradients(model: Decoder) -> tuple[float, Tensor]:
    tokens_BT = some_tokens()
    with torch.autocast("cpu", torch.bfloat16):
        logits_BTV = model(tokens_BT[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits_BTV.float().flatten(0, 1), tokens_BT[:, 1:].flatten())
    loss.backward()
    return loss.item(), torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.requires_grad])


def test_bfloat16_autocast_works_and_a_kept_copy_changes_no_bit() -> None:
    exact = adapted(LoraSpec(rank=4))
    cast, kept = copy.deepcopy(exact), copy.deepcopy(exact)
    hold_cast(kept, torch.bfloat16)
    (loss, slope), (kept_loss, kept_slope) = losses_and_gradients(cast), losses_and_gradients(kept)
    assert loss == kept_loss and torch.equal(slope, kept_slope)
    assert slope.dtype == torch.float32
    tokens_BT = some_tokens()
    expected = torch.nn.functional.cross_entropy(exact(tokens_BT[:, :-1]).flatten(0, 1), tokens_BT[:, 1:].flatten())
    assert loss == pytest.approx(expected.item(), rel=0.02)
    assert set(merge(kept)) == set(merge(exact)) == set(small_decoder().state_dict())
    assert all(layer.cast_weight.dtype == torch.bfloat16 for _, layer in layers_of(kept))
    assert torch.equal(kept(tokens_BT), exact(tokens_BT))  # without autocast the exact weights are used


def test_adapters_are_put_back_to_the_last_bit() -> None:
    model = adapted(LoraSpec(rank=4))
    kept = {name: tensor.clone() for name, tensor in adapter_tensors(model).items()}
    before_BTV = model(some_tokens())
    move(model, seed=9)
    restore_adapters(model, kept)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in adapter_tensors(model).items())
    assert torch.equal(model(some_tokens()), before_BTV)


def test_tensors_that_do_not_fit_are_named_and_nothing_is_changed() -> None:
    model = adapted(LoraSpec(rank=4, targets=["query"]))
    kept = {name: tensor.clone() for name, tensor in adapter_tensors(model).items()}
    name, other = list(kept)[:2]
    broken = torch.full_like(kept[name], float("nan"))
    for wrong, words in (
        ({key: kept[key] for key in kept if key != name}, f"{name} is missing"),
        (kept | {"surprise": kept[name]}, "surprise is unknown"),
        (kept | {other: kept[other][:2]}, f"{other} is \\(2, 4\\)"),
        (kept | {name: kept[name].double()}, "torch.float64"),
        (kept | {name: broken}, f"{name} holds a number that is not finite"),
        ({}, "missing"),
    ):
        with pytest.raises(ValueError, match=words):
            restore_adapters(model, {key: tensor + 1 if key in kept else tensor for key, tensor in wrong.items()})
    assert all(torch.equal(tensor, kept[key]) for key, tensor in adapter_tensors(model).items())


@pytest.mark.parametrize(
    ("target", "nearest"), [("q_proj", "query"), ("querry", "query"), ("dwon", "down"), ("values", "value")]
)
def test_an_unknown_target_is_refused_with_the_nearest(target: str, nearest: str) -> None:
    with pytest.raises(UnusableData, match=f'unknown target "{target}"') as refused:
        add_adapters(small_decoder(), LoraSpec(targets=["key", target]), seed=1)
    assert f'Did you mean "{nearest}"' in refused.value.help


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"rank": 1025}, {"alpha": 0.0}, {"alpha": 5000.0}, {"dropout": 1.0}])
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UnusableData, match=next(iter(wrong))):
        add_adapters(small_decoder(), LoraSpec(**wrong), seed=1)


def test_unset_values_are_those_that_the_specification_names() -> None:
    settings = add_adapters(small_decoder(), LoraSpec(), seed=1)
    assert (settings.rank, settings.alpha, settings.dropout, settings.targets) == (16, 32.0, 0.0, TARGETS)
    assert settings.scale == 2.0
    assert add_adapters(small_decoder(), LoraSpec(rank=4, rank_stabilized=True), seed=1).scale == 4.0


def test_recomputed_blocks_give_the_same_gradients() -> None:
    kept, recomputed = (adapted(LoraSpec(rank=4, dropout=0.3)) for _ in range(2))
    recomputed.activation_checkpointing = True
    for model in (kept, recomputed):
        torch.manual_seed(3)
        model(some_tokens()).sum().backward()
    for ours, theirs in zip(kept.parameters(), recomputed.parameters(), strict=True):
        assert ours.grad is None is theirs.grad or torch.equal(ours.grad, theirs.grad)


def test_layers_without_adapters_are_frozen_linear_layers() -> None:
    model = adapted(LoraSpec(rank=4, targets=["query"]))
    down = model.blocks[0].feed_forward.down
    assert isinstance(down, AdaptedLinear) and not list(down.adapters.parameters())
    assert merge(model)["blocks.0.feed_forward.down.weight"].data_ptr() == down.weight.data_ptr()
