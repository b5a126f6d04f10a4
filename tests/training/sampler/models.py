"""Small models for the sampler's tests: one with opinions, one that recites."""

import torch

from trainer_worker.trainer.engine.model import Decoder, ModelConfig

BYTES = 257
END_OF_TEXT = 256


def opinionated(
    *, width: int = 32, heads: int = 4, feed_forward_width: int = 64, vocabulary_size: int = BYTES
) -> Decoder:
    """Random weights, large enough that what it draws depends on all it read."""
    decoder = Decoder(
        ModelConfig(
            layers=2,
            width=width,
            heads=heads,
            key_value_heads=heads // 2 or 1,
            feed_forward_width=feed_forward_width,
            context_length=64,
            tied_head=False,
            rotary_base=10000.0,
            vocabulary_size=vocabulary_size,
        )
    )
    decoder.initialize(7)
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.mul_(4.0 if weight.dim() > 1 else 1.0)
        decoder.head.weight[END_OF_TEXT] *= 0.01  # seldom the likeliest, so that texts grow long
    return decoder.eval().requires_grad_(False)


def reciting(text: bytes, *, end: bool = False) -> Decoder:
    """Follows each byte of `text` by the next, and begins again, or ends, after the last. No byte may come twice."""
    assert len(set(text)) == len(text)
    decoder = Decoder(
        ModelConfig(
            layers=1,
            width=264,
            heads=2,
            key_value_heads=2,
            feed_forward_width=8,
            context_length=64,
            tied_head=False,
            rotary_base=10000.0,
            vocabulary_size=BYTES,
        )
    )
    decoder.initialize(0)
    follows = dict(zip(text, [*text[1:], END_OF_TEXT if end else text[0]], strict=True))
    with torch.no_grad():
        decoder.blocks[0].attention.out.weight.zero_()
        decoder.blocks[0].feed_forward.down.weight.zero_()
        decoder.embedding.weight.copy_(torch.eye(BYTES, 264))
        decoder.head.weight.zero_()
        for token in range(BYTES):
            decoder.head.weight[follows.get(token, text[0]), token] = 10.0
    return decoder.eval().requires_grad_(False)
