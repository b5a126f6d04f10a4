"""The decoder computes what the papers say, against a second implementation written with loops.

B rows   T positions   V vocabulary
"""

import dataclasses
import json
import math

import pytest
import torch
from torch import Tensor

from trainer_worker.trainer.engine.attention import attend, attend_plainly, causal_bias, plain_wins
from trainer_worker.trainer.engine.key_value_cache import KeyValueCache
from trainer_worker.trainer.engine.model import Decoder, Dropout, ModelConfig
from trainer_worker.trainer.engine.norm import RootMeanSquareNorm

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


def decoder(config: ModelConfig = CONFIG, *, spread: float = 10.0) -> Decoder:
    """A decoder whose weights are large enough for every part to matter."""
    model = Decoder(config)
    model.initialize(seed=3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(spread if weight.dim() > 1 else 1.0).add_(0.01 * torch.arange(weight.shape[-1]))
    return model.double()


def tokens(rows: int = 2, length: int = 9) -> Tensor:
    return torch.randint(0, CONFIG.vocabulary_size, (rows, length), generator=torch.Generator().manual_seed(1))


def norm(vector: Tensor, weight: Tensor) -> Tensor:
    return vector / math.sqrt(float((vector * vector).mean()) + 1e-5) * weight


def turned(vector: Tensor, position: int, base: float) -> Tensor:
    half = len(vector) // 2
    out = torch.zeros_like(vector)
    for pair in range(half):
        angle = position * base ** (-2 * pair / len(vector))
        a, b = vector[pair], vector[pair + half]
        out[pair] = a * math.cos(angle) - b * math.sin(angle)
        out[pair + half] = a * math.sin(angle) + b * math.cos(angle)
    return out


def reference_attention(weights: dict[str, Tensor], prefix: str, normed: list[Tensor], config: ModelConfig) -> Tensor:
    n, m, h = config.heads, config.key_value_heads, config.width // config.heads
    split = [(weights[f"{prefix}.attention.qkv.weight"] @ x).view(n + 2 * m, h) for x in normed]
    rows = []
    for t in range(len(normed)):
        mixed = []
        for head in range(n):
            group = head // (n // m)
            query = turned(split[t][head], t, config.rotary_base)
            keys = [turned(split[s][n + group], s, config.rotary_base) for s in range(t + 1)]
            scores = torch.stack([query @ key / math.sqrt(h) for key in keys])
            shares = torch.exp(scores - scores.max())
            shares = shares / shares.sum()
            mixed.append(sum(share * split[s][n + m + group] for s, share in enumerate(shares)))
        rows.append(weights[f"{prefix}.attention.out.weight"] @ torch.cat(mixed))
    return torch.stack(rows)


def reference_logits(model: Decoder, row: Tensor) -> Tensor:
    """The same model, one number at a time."""
    weights, config = dict(model.state_dict()), model.config
    hidden = weights["embedding.weight"][row]
    for layer in range(config.layers):
        prefix = f"blocks.{layer}"
        normed = [norm(x, weights[f"{prefix}.attention_norm.weight"]) for x in hidden]
        hidden = hidden + reference_attention(weights, prefix, normed, config)
        for t in range(len(row)):
            x = norm(hidden[t], weights[f"{prefix}.feed_forward_norm.weight"])
            gate, up = (weights[f"{prefix}.feed_forward.gate_up.weight"] @ x).chunk(2)
            hidden[t] = hidden[t] + weights[f"{prefix}.feed_forward.down.weight"] @ (gate * torch.sigmoid(gate) * up)
    head = weights["embedding.weight"] if config.tied_head else weights["head.weight"]
    return torch.stack([head @ norm(x, weights["final_norm.weight"]) for x in hidden])


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_those_of_the_second_implementation(tied: bool) -> None:
    model = decoder(dataclasses.replace(CONFIG, tied_head=tied))
    with torch.no_grad():
        logits_BTV = model(tokens())
        for row, logits_TV in zip(tokens(), logits_BTV, strict=True):
            torch.testing.assert_close(logits_TV, reference_logits(model, row), rtol=1e-9, atol=1e-6)


def test_gradients_are_those_of_finite_differences() -> None:
    model = decoder(dataclasses.replace(CONFIG, layers=1), spread=5.0)
    batch_BT = tokens()

    def loss() -> Tensor:
        logits_BTV = model(batch_BT[:, :-1]).flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits_BTV, batch_BT[:, 1:].flatten())

    loss().backward()
    generator = torch.Generator().manual_seed(5)
    for name, weight in model.named_parameters():
        assert weight.grad is not None
        place = int(torch.randint(weight.numel(), (1,), generator=generator))
        slopes = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.view(-1)[place] += sign * 1e-5
                slopes.append(loss().item())
                weight.view(-1)[place] -= sign * 1e-5
        expected = (slopes[0] - slopes[1]) / 2e-5
        assert weight.grad.view(-1)[place].item() == pytest.approx(expected, rel=1e-4, abs=1e-8), name


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("key_value_heads", [1, 2, 4])
def test_the_number_of_weights_is_the_promised_formula(tied: bool, key_value_heads: int) -> None:
    config = dataclasses.replace(CONFIG, tied_head=tied, key_value_heads=key_value_heads)
    v, d, f, layers = config.vocabulary_size, config.width, config.feed_forward_width, config.layers
    key_value_width = key_value_heads * (d // config.heads)
    formula = v * d * (1 if tied else 2) + layers * (d * d + 2 * d * key_value_width + d * d + 3 * d * f + 2 * d) + d
    assert sum(weight.numel() for weight in Decoder(config).parameters()) == formula == config.parameters


def test_no_position_sees_a_later_token() -> None:
    model, batch_BT = decoder(), tokens()
    changed_BT = batch_BT.clone()
    changed_BT[:, 5:] = (changed_BT[:, 5:] + 1) % CONFIG.vocabulary_size
    with torch.no_grad():
        assert torch.equal(model(batch_BT)[:, :5], model(changed_BT)[:, :5])


def test_a_cache_gives_the_logits_of_the_whole_row_for_rows_of_different_length() -> None:
    model, batch_BT = decoder(), tokens(rows=3)
    cache = KeyValueCache(layers=2, rows=3, capacity=12, key_value_heads=2, head_width=4, dtype=torch.float64)
    lengths_B = torch.tensor([2, 6, 4])
    with torch.no_grad():
        whole_BTV = model(batch_BT)
        model(batch_BT[:, :6], cache=cache)
        cache.advance(lengths_B)
        for _ in range(3):
            fresh_B1 = batch_BT.gather(1, cache.lengths_B[:, None])
            logits_B1V = model(fresh_B1, cache=cache)
            rows = [whole_BTV[row, length] for row, length in enumerate(cache.lengths_B)]
            torch.testing.assert_close(logits_B1V[:, 0], torch.stack(rows), rtol=1e-9, atol=1e-9)
            cache.advance(1)


def test_plain_and_fused_attention_agree() -> None:
    generator = torch.Generator().manual_seed(2)
    query, key, value = (torch.randn(2, 7, heads, 8, generator=generator) for heads in (4, 2, 2))
    bias = causal_bias(7, device=query.device)
    mixed = attend(query, key, value, bias=bias)
    wide = [tensor.transpose(1, 2).repeat_interleave(2, dim=1) for tensor in (key, value)]
    fused = torch.nn.functional.scaled_dot_product_attention(query.transpose(1, 2), *wide, attn_mask=bias)
    plain = attend_plainly(query.transpose(1, 2), *wide, bias)
    torch.testing.assert_close(plain, fused, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mixed, plain.transpose(1, 2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("keys", "head_width", "long_registers", "short_registers"),
    [
        (128, 32, True, False),
        (256, 64, True, False),
        (512, 64, True, True),
        (128, 128, True, False),
        (256, 128, True, True),
        (1024, 64, False, False),
    ],
)
def test_attention_is_computed_by_what_was_measured_to_be_faster(
    keys: int, head_width: int, long_registers: bool, short_registers: bool
) -> None:
    shape = {"queries": keys, "keys": keys, "head_width": head_width}
    assert plain_wins("cpu", **shape) is long_registers
    assert plain_wins("cpu", **shape, fused_if_short=True) is short_registers
    assert plain_wins("cpu", **shape, soft_cap=30.0, fused_if_short=True)


@pytest.mark.parametrize("packed", [False, True])
def test_a_run_on_short_registers_computes_the_same(packed: bool) -> None:
    documents_BT = torch.tensor([[0, 0, 0, 1, 1, 1, 2], [0, 1, 1, 1, 1, 1, 1]]) if packed else None
    tokens_BT = torch.randint(0, 32, (2, 7), generator=torch.Generator().manual_seed(3))
    gradients = []
    for short in (False, True):
        model = Decoder(ModelConfig(2, 16, 4, 2, 24, 8, True, 10000.0, 32))
        model.initialize(1)
        model.fused_if_short = short
        model(tokens_BT, documents_BT=documents_BT).square().sum().backward()
        gradients.append([weight.grad for weight in model.parameters()])
        assert model.is_plain(model.embedding.weight[None], None, 7, Dropout()) is not short
        assert model.is_plain(model.embedding.weight[None], None, 7, Dropout(attention=0.1)), "the kernel knows none"
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_the_norm_and_its_derivatives_are_those_of_the_library() -> None:
    norm = RootMeanSquareNorm(6, epsilon=1e-5).double()
    library = torch.nn.RMSNorm(6, eps=1e-5).double()
    with torch.no_grad():
        library.weight.copy_(norm.weight.copy_(torch.arange(6) - 2.5))
    one = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    other = one.detach().clone().requires_grad_()
    for module, values in ((norm, one), (library, other)):
        module(values).pow(3).sum().backward()
    torch.testing.assert_close(norm(one), library(other))
    torch.testing.assert_close(one.grad, other.grad)
    torch.testing.assert_close(norm.weight.grad, library.weight.grad)


def test_a_position_beyond_the_context_is_refused() -> None:
    with pytest.raises(IndexError, match="position 12 is beyond the context length 12"):
        decoder()(tokens(length=13))


def test_a_config_survives_json_and_refuses_what_it_does_not_know() -> None:
    values = CONFIG.to_values()
    assert ModelConfig.from_values(json.loads(json.dumps(values))) == CONFIG
    for wrong in (values | {"surprise": 1}, values | {"layers": "2"}, values | {"tied_head": 1}, {}):
        with pytest.raises(ValueError):
            ModelConfig.from_values(wrong)


@pytest.mark.parametrize(
    "change", [{"heads": 3}, {"heads": 16}, {"key_value_heads": 3}, {"layers": 0}, {"rotary_base": 0.0}]
)
def test_shapes_that_do_not_divide_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        dataclasses.replace(CONFIG, **change)


def test_the_same_seed_draws_the_same_weights() -> None:
    one, other, third = Decoder(CONFIG), Decoder(CONFIG), Decoder(CONFIG)
    one.initialize(1), other.initialize(1), third.initialize(2)
    assert torch.equal(one.embedding.weight, other.embedding.weight)
    assert not torch.equal(one.embedding.weight, third.embedding.weight)
