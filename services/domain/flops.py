"""How many floating-point operations a token takes, from the shape of the model."""

from services.domain.architecture import Architecture


def flops_per_token(
    shape: Architecture, *, parameters: int, context_length: int, adapters: int | None = None, recomputed: bool = False
) -> float:
    """Return the operations of one trained token: forward and backward passes of weights and of causal attention.

    Forward, two a weight, and for attention four a layer, unit of width and position seen, which are half of the
    context on average. Backward, twice that; where only `adapters` (their number of weights) learn, the others need no
    gradients of their own, which is half of the backward pass. With `recomputed` activations, forward once more.
    Source: Kaplan et al. 2020, arXiv 2001.08361, table 1.
    """
    attention = _attention(shape, context_length)
    forward = forward_flops_per_token(shape, parameters=parameters + (adapters or 0), context_length=context_length)
    gradients_of_weights = 2 * (parameters if adapters is None else adapters)
    return float(forward * (3 if recomputed else 2) + gradients_of_weights + attention)


def forward_flops_per_token(shape: Architecture, *, parameters: int, context_length: int) -> float:
    """Return the operations of a token that is only looked at, as of the forward pass above."""
    return float(2 * parameters + _attention(shape, context_length))


def _attention(shape: Architecture, context_length: int) -> int:
    return 2 * shape.layers * shape.width * context_length
