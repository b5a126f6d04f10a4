"""Looking inside a step: what is told of it is what happens in training."""

import math

import pytest
import torch

from tests.training.runs import ARCHITECTURE, tiny_spec
from trainer_worker.trainer.engine.inspect import changed_weights, inspect_step
from trainer_worker.trainer.engine.model import Decoder, ModelConfig
from trainer_worker.trainer.engine.optimizers import make_optimizers

TOKENS = list(b"to be, or not")


@pytest.fixture
def model() -> Decoder:
    decoder = Decoder(ModelConfig(**ARCHITECTURE, vocabulary_size=257))  # type: ignore[arg-type]
    decoder.initialize(3)
    return decoder


def look(model: Decoder, *, rate: float = 1e-2, predictions: int = 3, clip_norm: float = 0.0) -> object:
    optimizers = make_optimizers(model.named_parameters(), tiny_spec().optimization)
    return inspect_step(model, optimizers, TOKENS, learning_rate=rate, clip_norm=clip_norm, predictions=predictions)


def test_losses_are_those_of_the_probabilities_that_the_model_gives(model: Decoder) -> None:
    with torch.no_grad():
        believed_TV = torch.softmax(model(torch.tensor([TOKENS[:-1]]))[0], dim=-1)
    found = look(model)
    assert found.tokens[0].loss is None
    for place, token in enumerate(found.tokens[1:]):
        assert token.token == TOKENS[place + 1]
        assert token.probability == pytest.approx(believed_TV[place, token.token].item(), rel=1e-4)
        assert token.loss == pytest.approx(-math.log(token.probability), rel=1e-6)
    assert found.loss == pytest.approx(sum(token.loss for token in found.tokens[1:]) / (len(TOKENS) - 1), rel=1e-5)


def test_predictions_are_the_likeliest_first(model: Decoder) -> None:
    with torch.no_grad():
        believed_TV = torch.softmax(model(torch.tensor([TOKENS[:-1]]))[0], dim=-1)
    best, order = believed_TV[4].topk(3)
    told = look(model).tokens[5].predictions
    assert [one.token for one in told] == order.tolist()
    assert [one.probability for one in told] == pytest.approx(best.tolist(), rel=1e-4)


def test_parts_tell_gradients_and_movements(model: Decoder) -> None:
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    tokens_1T = torch.tensor([TOKENS])
    torch.nn.functional.cross_entropy(model(tokens_1T[:, :-1])[0], tokens_1T[0, 1:]).backward()
    expected = {name: weight.grad.norm().item() for name, weight in model.named_parameters()}
    model.zero_grad()
    found = look(model)
    assert {part.name for part in found.parts} == {name.rpartition(".")[0] for name in before}
    for part in found.parts:
        old, new = before[f"{part.name}.weight"], model.get_parameter(f"{part.name}.weight").detach()
        assert part.weights == old.numel()
        assert part.gradient_norm == pytest.approx(expected[f"{part.name}.weight"], rel=1e-4)
        assert part.weight_norm == pytest.approx(old.norm().item(), rel=1e-5)
        assert part.update_ratio == pytest.approx(((new - old).norm() / old.norm()).item(), rel=1e-4)
        assert part.update_ratio > 0
    assert found.gradient_norm == pytest.approx(math.hypot(*expected.values()), rel=1e-4)
    assert {part.layer for part in found.parts} == {None, 0, 1}


def test_a_learning_rate_of_nothing_moves_nothing(model: Decoder) -> None:
    assert all(part.update_ratio == 0 for part in look(model, rate=0.0).parts)


def test_changed_weights_are_counted_one_by_one(model: Decoder) -> None:
    first = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    assert changed_weights(model, first) == 0
    with torch.no_grad():
        model.embedding.weight[0, :3] += 1
    assert changed_weights(model, first) == 3
    del first["embedding.weight"]
    assert changed_weights(model, first) is None


def test_one_token_is_too_few(model: Decoder) -> None:
    with pytest.raises(ValueError, match="too few"):
        inspect_step(model, None, [1], learning_rate=1.0, clip_norm=0.0, predictions=1)  # type: ignore[arg-type]
