"""Drawing text from a decoder, token by token.

    B rows   T positions   V vocabulary

Everything here treats each row by itself: what is drawn in a row never depends on the rows beside it.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer_worker.trainer.engine.key_value_cache import SLOTS_TOGETHER, KeyValueCache
from trainer_worker.trainer.engine.model import Decoder, ModelConfig

# Scores of a chunk take heads × 256 × context floats: 100 MB for 12 heads at the longest context.
PREFILL_TOKENS = 256


@dataclass(frozen=True)
class DrawRule:
    """How a token is chosen: 0 as temperature takes the likeliest; `top_k` 0 and `top_p` 1 cut nothing."""

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0

    @property
    def cuts(self) -> bool:
        return self.top_k > 0 or self.top_p < 1.0


def log_probabilities(logits_BV: Tensor) -> Tensor:
    """What the model itself believes, before temperature and cuts. Shapes: (B, V), returned as float64, in nats."""
    return torch.log_softmax(logits_BV.double(), dim=-1)


def draw_tokens(logits_BV: Tensor, *, rules: Sequence[DrawRule], uniforms: Sequence[float]) -> list[int]:
    """One token for each row, by the row's rule and its random number.

    Shapes: logits (B, V); `rules` and `uniforms` have one entry a row, the latter from 0 to below 1.
    """
    drawn = [0] * len(rules)
    greedy = [row for row, rule in enumerate(rules) if rule.temperature == 0]
    whole = [row for row, rule in enumerate(rules) if rule.temperature > 0 and not rule.cuts]
    cut = [row for row, rule in enumerate(rules) if rule.temperature > 0 and rule.cuts]
    for rows, draw in ((greedy, _take_likeliest), (whole, _draw_from_all), (cut, _draw_from_cut)):
        if rows:
            tokens = draw(logits_BV[rows], [rules[row] for row in rows], [uniforms[row] for row in rows])
            for row, token in zip(rows, tokens, strict=True):
                drawn[row] = token
    return drawn


def tempered_probabilities(logits_BV: Tensor, temperatures: Sequence[float]) -> Tensor:
    """Softmax of the logits over each row's temperature. Shape (B, V), float64."""
    # The likeliest is moved to 0 first, so that the smallest temperatures do not overflow.
    shifted_BV = logits_BV.double() - logits_BV.double().amax(dim=-1, keepdim=True)
    return torch.softmax(shifted_BV / torch.tensor(temperatures, dtype=torch.float64)[:, None], dim=-1)


def cut_probabilities(sorted_BV: Tensor, rules: Sequence[DrawRule]) -> Tensor:
    """Zero for all but the `top_k` first, and, of those, for all after the ones that together reach `top_p`.

    Shapes: (B, V) float64, each row falling; returns the same, not normalised. The share that `top_p` speaks of is that
    of the `top_k`. The first always stays.
    Source: Holtzman et al. 2020, arXiv 1904.09751, section 3.1.
    """
    vocabulary = sorted_BV.shape[-1]
    counts_B1 = torch.tensor([[rule.top_k or vocabulary] for rule in rules])
    shares_B1 = torch.tensor([[rule.top_p] for rule in rules], dtype=torch.float64)
    likeliest_BV = sorted_BV * (torch.arange(vocabulary) < counts_B1)
    before_BV = likeliest_BV.cumsum(dim=-1) - likeliest_BV
    reached_BV = before_BV >= shares_B1 * likeliest_BV.sum(dim=-1, keepdim=True)
    reached_BV[:, 0] = False
    return likeliest_BV.masked_fill(reached_BV & (shares_B1 < 1.0), 0.0)


def prefill(decoder: Decoder, tokens: Sequence[int], *, cache: KeyValueCache) -> Tensor:
    """Reads tokens into a cache of one row, in chunks; returns the logits for what comes next, (1, V) float32."""
    for start in range(0, len(tokens), PREFILL_TOKENS):
        hidden_1TD = read_chunk(decoder, tokens[start : start + PREFILL_TOKENS], cache=cache)
    return decoder.unembed(hidden_1TD[:, -1])


def read_chunk(decoder: Decoder, tokens: Sequence[int], *, cache: KeyValueCache) -> Tensor:
    """Reads a few tokens into a cache of one row; returns the hidden states, (1, T, D)."""
    hidden_1TD = decoder.hidden(torch.tensor([list(tokens)], device=cache.lengths_B.device), cache=cache)
    cache.advance(len(tokens))
    return hidden_1TD


def cache_for(
    config: ModelConfig, *, rows: int, length: int | None = None, device: torch.device | str = "cpu"
) -> KeyValueCache:
    """An empty cache that holds so many tokens in each row, a full context if it is not said."""
    return KeyValueCache(
        layers=config.layers,
        rows=rows,
        capacity=-(-(length or config.context_length) // SLOTS_TOGETHER) * SLOTS_TOGETHER,
        key_value_heads=config.key_value_heads,
        head_width=config.head_width,
        device=device,
    )


def cache_bytes_per_row(config: ModelConfig, *, length: int | None = None) -> int:
    """Memory that `cache_for` takes for each row."""
    capacity = -(-(length or config.context_length) // SLOTS_TOGETHER) * SLOTS_TOGETHER
    return 2 * 4 * config.layers * capacity * config.key_value_heads * config.head_width


def window(tokens: Sequence[int], *, context_length: int) -> Sequence[int]:
    """With what to go on when the context is full: the last half of it."""
    return tokens[-max(context_length // 2, 1) :]


@torch.inference_mode()
def continue_tokens(
    decoder: Decoder, prompt: Sequence[int], *, rule: DrawRule, seed: int, tokens_max: int, end_of_text: int
) -> Iterator[int]:
    """Draws up to `tokens_max` tokens after a prompt, one row alone; ends before `end_of_text`.

    An empty prompt begins after an end of text; of a prompt that is too long the last half of the context is read.
    """
    generator = random.Random(seed)
    text = list(prompt) or [end_of_text]
    context_length = decoder.config.context_length
    cache = cache_for(decoder.config, rows=1, device=decoder.embedding.weight.device)
    unread: Sequence[int] = text if len(text) <= context_length else window(text, context_length=context_length)
    for _ in range(tokens_max):
        logits_1V = prefill(decoder, unread, cache=cache)
        [token] = draw_tokens(logits_1V.float().cpu(), rules=[rule], uniforms=[generator.random()])
        if token == end_of_text:
            return
        yield token
        text.append(token)
        unread = [token]
        if int(cache.lengths_B[0]) == context_length:
            cache.lengths_B[0] = 0
            unread = window(text, context_length=context_length)


def _take_likeliest(logits_BV: Tensor, _rules: Sequence[DrawRule], _uniforms: Sequence[float]) -> list[int]:
    tokens: list[int] = logits_BV.argmax(dim=-1).tolist()
    return tokens


def _draw_from_all(logits_BV: Tensor, rules: Sequence[DrawRule], uniforms: Sequence[float]) -> list[int]:
    tokens_B = _places(tempered_probabilities(logits_BV, [rule.temperature for rule in rules]), uniforms)
    tokens: list[int] = tokens_B.tolist()
    return tokens


def _draw_from_cut(logits_BV: Tensor, rules: Sequence[DrawRule], uniforms: Sequence[float]) -> list[int]:
    probabilities_BV = tempered_probabilities(logits_BV, [rule.temperature for rule in rules])
    sorted_BV, order_BV = probabilities_BV.sort(dim=-1, descending=True, stable=True)
    places_B = _places(cut_probabilities(sorted_BV, rules), uniforms)
    tokens: list[int] = order_BV.gather(1, places_B[:, None])[:, 0].tolist()
    return tokens


def _places(weights_BV: Tensor, uniforms: Sequence[float]) -> Tensor:
    """Where each random number falls when the weights of its row are laid end to end. Shape (B,)."""
    ends_BV = weights_BV.cumsum(dim=-1)
    totals_B1 = ends_BV[:, -1:]
    targets_B1 = torch.tensor(uniforms, dtype=torch.float64)[:, None] * totals_B1
    # Rounding may reach the total itself, behind which there is nothing.
    targets_B1 = torch.minimum(targets_B1, torch.nextafter(totals_B1, torch.zeros_like(totals_B1)))
    return torch.searchsorted(ends_BV, targets_B1, right=True)[:, 0]
