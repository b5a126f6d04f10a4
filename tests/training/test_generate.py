"""Drawing text from a decoder."""

import collections
import random

import pytest
import torch
from torch import Tensor

from trainer_worker.trainer.engine.generate import (
    DrawRule,
    cache_for,
    continue_tokens,
    cut_probabilities,
    draw_tokens,
    log_probabilities,
    prefill,
    tempered_probabilities,
)
from trainer_worker.trainer.engine.model import Decoder, ModelConfig

SHAPE = ModelConfig(
    layers=2,
    width=32,
    heads=4,
    key_value_heads=2,
    feed_forward_width=64,
    context_length=48,
    tied_head=True,
    rotary_base=10000.0,
    vocabulary_size=257,
)


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    """Weights large enough for opinions."""
    decoder = Decoder(SHAPE).eval().requires_grad_(False)
    decoder.initialize(3)
    for weight in decoder.parameters():
        weight.mul_(4.0 if weight.dim() > 1 else 1.0)
    return decoder


def logits_of(*probabilities: float) -> Tensor:
    return torch.tensor([probabilities]).log()


def counts(logits_1V: Tensor, rule: DrawRule, *, draws: int = 4000) -> dict[int, float]:
    generator = random.Random(0)
    rows = logits_1V.expand(draws, -1)
    tokens = draw_tokens(rows, rules=[rule] * draws, uniforms=[generator.random() for _ in range(draws)])
    return {token: count / draws for token, count in collections.Counter(tokens).items()}


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    found = counts(logits_of(0.5, 0.2, 0.3), DrawRule(temperature=1.0))
    assert found == pytest.approx({0: 0.5, 1: 0.2, 2: 0.3}, abs=0.03)


def test_temperature_sharpens_and_flattens() -> None:
    logits_1V = logits_of(0.8, 0.2)
    assert tempered_probabilities(logits_1V, [0.5])[0].tolist() == pytest.approx([0.64 / 0.68, 0.04 / 0.68])
    assert tempered_probabilities(logits_1V, [2.0])[0].tolist() == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-3, 10.0])
def test_no_temperature_makes_numbers_overflow(temperature: float) -> None:
    probabilities_1V = tempered_probabilities(torch.tensor([[3e38, 1.0, -3e38]]), [temperature])
    assert torch.isfinite(probabilities_1V).all() and float(probabilities_1V.sum()) == pytest.approx(1.0)


def test_top_k_leaves_the_k_likeliest() -> None:
    found = counts(logits_of(0.1, 0.4, 0.2, 0.3), DrawRule(temperature=1.0, top_k=2))
    assert found == pytest.approx({1: 4 / 7, 3: 3 / 7}, abs=0.03)


def test_top_p_leaves_the_fewest_that_reach_it() -> None:
    sorted_1V = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=torch.float64)
    for top_p, kept in ((1e-9, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.8, 3), (1.0, 4)):
        assert int((cut_probabilities(sorted_1V, [DrawRule(top_p=top_p)]) > 0).sum()) == kept, top_p


def test_top_p_speaks_of_what_top_k_left() -> None:
    sorted_1V = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=torch.float64)
    assert int((cut_probabilities(sorted_1V, [DrawRule(top_k=2, top_p=0.6)]) > 0).sum()) == 1
    assert int((cut_probabilities(sorted_1V, [DrawRule(top_k=2, top_p=0.7)]) > 0).sum()) == 2


def test_one_candidate_is_the_greedy_choice_even_between_equals() -> None:
    logits_BV = torch.randn(200, 9, generator=torch.Generator().manual_seed(1)).round()
    uniforms = [index / 200 for index in range(200)]
    drawn = [
        draw_tokens(logits_BV, rules=[rule] * 200, uniforms=uniforms)
        for rule in (
            DrawRule(temperature=0),
            DrawRule(temperature=1.0, top_k=1),
            DrawRule(temperature=1.0, top_p=1e-12),
        )
    ]
    assert drawn[0] == drawn[1] == drawn[2] == logits_BV.argmax(dim=-1).tolist()


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
@pytest.mark.parametrize("rule", [DrawRule(1.0), DrawRule(1.0, top_k=2), DrawRule(1.0, top_p=0.99)])
def test_a_token_of_no_probability_is_never_drawn(rule: DrawRule, uniform: float) -> None:
    logits_1V = torch.tensor([[float("-inf"), 0.0, 1.0, float("-inf")]])
    assert draw_tokens(logits_1V, rules=[rule], uniforms=[uniform])[0] in (1, 2)


def test_a_row_is_drawn_alike_whoever_is_beside_it() -> None:
    generator = random.Random(5)
    logits_BV = torch.randn(24, 257, generator=torch.Generator().manual_seed(2))
    choices = (DrawRule(0), DrawRule(0.7), DrawRule(1.3, top_k=5), DrawRule(0.9, top_p=0.8), DrawRule(1, 7, 0.5))
    rules = [generator.choice(choices) for _ in range(24)]
    uniforms = [generator.random() for _ in range(24)]
    together = draw_tokens(logits_BV, rules=rules, uniforms=uniforms)
    alone = [
        draw_tokens(logits_BV[row : row + 1], rules=[rules[row]], uniforms=[uniforms[row]])[0] for row in range(24)
    ]
    assert together == alone


def test_log_probabilities_sum_to_one_and_are_those_of_the_softmax(decoder: Decoder) -> None:
    logits_BV = decoder(torch.arange(10)[None])[0]
    believed_BV = log_probabilities(logits_BV)
    assert believed_BV.exp().sum(dim=-1).tolist() == pytest.approx([1.0] * 10, abs=1e-12)
    assert torch.allclose(believed_BV, torch.softmax(logits_BV.double(), -1).log())


@pytest.mark.parametrize("length", [1, 2, 31, 48])
def test_reading_with_a_cache_gives_the_logits_of_the_whole_sequence(decoder: Decoder, length: int) -> None:
    tokens = torch.randint(0, 257, (1, length), generator=torch.Generator().manual_seed(length))
    whole_TV = decoder(tokens)[0]
    cache = cache_for(SHAPE, rows=1)
    stepwise = [prefill(decoder, [token], cache=cache)[0] for token in tokens[0].tolist()]
    assert torch.allclose(torch.stack(stepwise), whole_TV, atol=1e-5)


def test_long_prompts_are_read_in_chunks_with_the_same_result(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = list(range(40))
    whole_1V = prefill(decoder, tokens, cache=cache_for(SHAPE, rows=1))
    monkeypatch.setattr("trainer_worker.trainer.engine.generate.PREFILL_TOKENS", 7)
    chunked_1V = prefill(decoder, tokens, cache=cache_for(SHAPE, rows=1))
    assert torch.allclose(whole_1V, chunked_1V, atol=1e-5)


def test_greedy_text_is_that_of_a_loop_without_a_cache(decoder: Decoder) -> None:
    text = list(b"To be, or ")
    for _ in range(30):
        text.append(int(decoder(torch.tensor([text]))[0, -1].argmax()))
    drawn = list(continue_tokens(decoder, b"To be, or ", rule=DrawRule(0), seed=0, tokens_max=30, end_of_text=-1))
    assert list(b"To be, or ") + drawn == text


def test_text_goes_on_when_the_context_is_full(decoder: Decoder) -> None:
    drawn = list(continue_tokens(decoder, b"x" * 48, rule=DrawRule(1.0), seed=1, tokens_max=120, end_of_text=-1))
    assert len(drawn) == 120


def test_the_same_seed_draws_the_same_text_and_another_one_another(decoder: Decoder) -> None:
    texts = [
        list(continue_tokens(decoder, b"", rule=DrawRule(1.0), seed=seed, tokens_max=20, end_of_text=256))
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]
