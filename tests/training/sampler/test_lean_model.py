"""A decoder made ready to draw computes nearly what it computed as it was trained."""

import copy
import dataclasses

import pytest
import torch

from tests.training.sampler.models import opinionated
from trainer_worker.sampler.lean_model import HalfLinear, LeanNorm, halves, lean_bytes, make_lean
from trainer_worker.trainer.engine.generate import cache_for, log_probabilities
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.norm import RootMeanSquareNorm

CONFIG = opinionated().config
FAMILIES = {
    "llama": CONFIG,
    "qwen": dataclasses.replace(CONFIG, qkv_bias=True, query_key_norm=True),
    "gemma": dataclasses.replace(
        CONFIG, tied_head=True, post_norms=True, activation="gelu_tanh", attention_soft_cap=50.0, logit_soft_cap=30.0
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_stay_within_a_few_thousandths(family: str) -> None:
    decoder = Decoder(FAMILIES[family]).eval().requires_grad_(False)
    decoder.initialize(5)
    lean = make_lean(copy.deepcopy(decoder))
    tokens_BT = torch.arange(60).view(3, 20)
    cache = cache_for(decoder.config, rows=3)
    with torch.inference_mode():
        expected = log_probabilities(decoder(tokens_BT)[:, -1])
        lean.hidden(tokens_BT[:, :-1], cache=cache)
        cache.advance(19)
        found = log_probabilities(lean(tokens_BT[:, -1:], cache=cache)[:, 0])
    assert not torch.equal(found, expected) and torch.allclose(found, expected, atol=5e-3)


def test_every_matrix_and_norm_is_exchanged() -> None:
    lean = make_lean(opinionated())
    kinds = [type(module) for module in lean.modules()]
    assert kinds.count(HalfLinear) == 2 * 4 + 1 and kinds.count(LeanNorm) == 2 * 2 + 1
    assert RootMeanSquareNorm not in kinds and torch.nn.Linear not in kinds


def test_a_matrix_beyond_float16_stays_as_it_is() -> None:
    decoder = opinionated()
    decoder.head.weight[0, 0] = 70000.0
    assert not halves(decoder.head.weight)
    decoder.head.weight[0, 0] = float("nan")
    assert not halves(decoder.head.weight)
    assert type(make_lean(decoder).head) is torch.nn.Linear


def test_a_norm_is_the_norm_that_was_trained() -> None:
    norm = RootMeanSquareNorm(16, epsilon=1e-5)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2.0)
        hidden_BD = torch.randn(4, 16)
        assert torch.allclose(LeanNorm(norm)(hidden_BD), norm(hidden_BD), atol=1e-6)


def test_a_shared_head_is_counted_once_more() -> None:
    tied = dataclasses.replace(CONFIG, tied_head=True)
    assert lean_bytes(tied) == 4 * tied.parameters + 2 * tied.vocabulary_size * tied.width
    assert lean_bytes(CONFIG) == 4 * CONFIG.parameters
