"""Documents that share a row, dropout, and activations that are computed twice."""

import dataclasses

import pytest
import torch
from torch import Tensor

from trainer_worker.trainer.engine import attention
from trainer_worker.trainer.engine.model import Decoder, ModelConfig

CONFIG = ModelConfig(
    layers=2,
    width=16,
    heads=4,
    key_value_heads=2,
    feed_forward_width=20,
    context_length=12,
    tied_head=True,
    rotary_base=100.0,
    vocabulary_size=11,
)
# Two rows of three and two documents; their numbers need not rise.
DOCUMENTS_BT = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2], [7, 7, 7, 7, 3, 3, 3, 3, 3]])
POSITIONS_BT = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 0, 1], [0, 1, 2, 3, 0, 1, 2, 3, 4]])
LOCAL = {"sliding_window": 3, "local_layers": (0,), "local_rotary_base": 10.0}


def decoder(**changes: object) -> Decoder:
    model = Decoder(dataclasses.replace(CONFIG, **changes))
    model.initialize(seed=3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(10.0 if weight.dim() > 1 else 1.0)
    return model.double()


def tokens(rows: int = 2, length: int = 9) -> Tensor:
    return torch.randint(0, CONFIG.vocabulary_size, (rows, length), generator=torch.Generator().manual_seed(1))


def apart(row: int) -> list[tuple[int, int]]:
    """Where each document of a row begins and ends."""
    numbers = DOCUMENTS_BT[row].tolist()
    cuts = [place for place in range(1, len(numbers)) if numbers[place] != numbers[place - 1]]
    return list(zip([0, *cuts], [*cuts, len(numbers)], strict=True))


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("changes", [{}, LOCAL, {"attention_soft_cap": 5.0}])
def test_documents_in_a_row_come_out_as_each_alone(
    monkeypatch: pytest.MonkeyPatch, plain: bool, changes: dict[str, object]
) -> None:
    if not plain:
        monkeypatch.setattr(attention, "PLAIN_KEYS_MIN", 0)
        monkeypatch.setattr(attention, "PLAIN_KEYS_PER_HEAD_WIDTH", 0)
    model, batch_BT = decoder(**changes), tokens()
    with torch.no_grad():
        packed_BTV = model(batch_BT, positions_BT=POSITIONS_BT, documents_BT=DOCUMENTS_BT)
        for row in range(2):
            for begin, end in apart(row):
                alone_TV = model(batch_BT[row : row + 1, begin:end])[0]
                torch.testing.assert_close(packed_BTV[row, begin:end], alone_TV, rtol=1e-9, atol=1e-9)


def test_gradients_of_documents_in_a_row_are_those_of_each_alone() -> None:
    packed, alone, batch_BT = decoder(), decoder(), tokens()
    packed(batch_BT, positions_BT=POSITIONS_BT, documents_BT=DOCUMENTS_BT).square().sum().backward()
    for row in range(2):
        for begin, end in apart(row):
            alone(batch_BT[row : row + 1, begin:end]).square().sum().backward()
    for one, other in zip(packed.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("plain", [True, False])
def test_a_local_layer_sees_the_nearest_keys_only(monkeypatch: pytest.MonkeyPatch, plain: bool) -> None:
    if not plain:
        monkeypatch.setattr(attention, "PLAIN_KEYS_MIN", 0)
        monkeypatch.setattr(attention, "PLAIN_KEYS_PER_HEAD_WIDTH", 0)
    model, batch_BT = decoder(layers=1, sliding_window=3, local_layers=(0,)), tokens()
    changed_BT = batch_BT.clone()
    changed_BT[:, 4] = (changed_BT[:, 4] + 1) % CONFIG.vocabulary_size
    with torch.no_grad():
        same_T = (model(batch_BT) == model(changed_BT)).all(-1).all(0)
    assert same_T.tolist() == [True] * 4 + [False] * 3 + [True] * 2


@pytest.mark.parametrize("place", ["residual", "attention", "embedding"])
def test_dropout_acts_in_training_only_and_by_the_generator(place: str) -> None:
    model, batch_BT = decoder(), tokens()
    without_BTV = model(batch_BT).detach()
    model.set_dropout(**{place: 0.5})
    torch.manual_seed(4)
    one_BTV = model(batch_BT).detach()
    torch.manual_seed(4)
    assert torch.equal(model(batch_BT), one_BTV)
    assert not torch.equal(model(batch_BT), one_BTV)
    assert not torch.equal(one_BTV, without_BTV)
    assert torch.equal(model.eval()(batch_BT), without_BTV)


def test_no_dropout_draws_no_random_number() -> None:
    model, before = decoder(), torch.get_rng_state()
    model.set_dropout()
    model(tokens()).sum().backward()
    assert torch.equal(torch.get_rng_state(), before)


def test_activations_computed_again_give_the_same_gradients_and_leave_the_generator_alike() -> None:
    gradients, states = [], []
    for again in (False, True):
        model = decoder()
        model.set_dropout(residual=0.3, attention=0.3, embedding=0.3)
        model.activation_checkpointing = again
        torch.manual_seed(4)
        model(tokens()).square().sum().backward()
        gradients.append([weight.grad for weight in model.parameters()])
        states.append(torch.get_rng_state())
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    assert torch.equal(*states)


def test_activations_are_kept_unless_asked_otherwise_and_never_kept_twice() -> None:
    """Counted in bytes that autograd holds on to for the backward pass."""

    def kept(again: bool, training: bool) -> int:
        model, sizes = decoder(layers=6).train(training), []
        model.activation_checkpointing = again

        def pack(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(tokens())
        return sum(sizes)

    assert kept(again=True, training=True) < kept(again=False, training=True) / 2
    assert kept(again=True, training=False) == kept(again=False, training=False)


def test_the_output_weight_is_what_logits_are_made_with() -> None:
    for tied in (True, False):
        model = decoder(tied_head=tied)
        hidden_BTD = model.hidden(tokens())
        assert torch.equal(model.unembed(hidden_BTD), hidden_BTD @ model.output_weight.T)
