"""nanoGPT's loop, written anew from what its `train.py` and `model.py` do.

It stands for the loop that most people copy: GPT-2's blocks (LayerNorm, learnt positions, GELU, one matrix for query,
key and value, tied output, no biases, no dropout), scaled_dot_product_attention, AdamW that is not fused, as on a
processor, weight decay on matrices, gradients clipped to 1, warm-up and cosine, batches of random windows, the loss
read at each step. Autocast is off on a processor, as there. No line of it is taken over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers.shapes import VOCABULARY, Batches, Shape


class Block(nn.Module):
    """Attention and a feed-forward layer, each behind a norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.first_norm = nn.LayerNorm(shape.width, bias=False)
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.second_norm = nn.LayerNorm(shape.width, bias=False)
        self.up = nn.Linear(shape.width, 4 * shape.width, bias=False)
        self.down = nn.Linear(4 * shape.width, shape.width, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        parts = self.qkv(self.first_norm(hidden)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + self.out(mixed.transpose(1, 2).flatten(2))
        return hidden + self.down(functional.gelu(self.up(self.second_norm(hidden))))


class GPT(nn.Module):
    """Logits of the next token at every position, and the loss if there are targets."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, shape.width)
        self.positions = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width, bias=False)
        self.head = nn.Linear(shape.width, VOCABULARY, bias=False)
        self.head.weight = self.tokens.weight
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                small = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, 0.0, 0.02 / math.sqrt(2 * shape.layers) if small else 0.02)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        hidden = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            hidden = block(hidden)
        logits = self.head(self.norm(hidden))
        return functional.cross_entropy(logits.view(-1, VOCABULARY), targets.reshape(-1))


def train(shape: Shape, *, options: frozenset[str], steps: int = 2000, rate: float = 1e-3) -> Iterator[Any]:
    """Yields after each step a function from windows to their mean loss. Options: compile."""
    torch.manual_seed(1337)
    model, batches = GPT(shape), Batches(shape)
    forward = torch.compile(model) if "compile" in options else model
    groups = [
        {"params": [weight for weight in model.parameters() if weight.dim() >= 2], "weight_decay": 0.1},
        {"params": [weight for weight in model.parameters() if weight.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = cosine(step, steps, rate)
        window = torch.from_numpy(batches.next())
        loss = forward(window[:, :-1], window[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        yield lambda windows: model(windows[:, :-1], windows[:, 1:])


def cosine(step: int, steps: int, rate: float, warmup: int = 100) -> float:
    """As in `get_lr`, to a tenth."""
    if step < warmup:
        return rate * (step + 1) / (warmup + 1)
    share = (step - warmup) / (steps - warmup)
    return rate * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))
