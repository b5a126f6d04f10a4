"""How much memory a trainer needs at most, from the shape of the model and what is done with it.

The numbers of activations were counted in the trainer's own passes, and held against what its processes took: see
docs/lab/2026-11-forecast.md.
"""

import dataclasses

from services.domain.architecture import Architecture
from services.domain.optimization import OptimizationSpec, Optimizer
from services.domain.run_settings import Precision

FP32, BF16 = 4, 2  # bytes of a number
PROCESS_BYTES = 400_000_000  # Python, torch, its threads and their buffers
LOGITS_BYTES_MAX = 2**28  # larger ones are computed in pieces of this size
LOGITS_COPIES = 3  # themselves, their softmax, its gradient
WIDTHS_OF_BLOCK = 16  # numbers kept a position, in units of the model width
FEED_FORWARDS_OF_BLOCK = 4  # the same in units of the feed-forward width
SCORES_COPIES = 1  # attention weights that are kept, where they are computed plainly
PLAIN_KEYS_MIN, PLAIN_KEYS_PER_HEAD_WIDTH = 512, 8  # contexts that processors compute plainly
FULL_PRECISIONS = frozenset([Precision.FP32, Precision.TF32])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """What a step works on. `trained` is the number of weights that move, those of adapters where there are any."""

    shape: Architecture
    parameters: int
    trained: int
    vocabulary_size: int
    context_length: int
    optimization: OptimizationSpec
    precision: Precision
    recomputed: bool
    adapted: bool

    @property
    def positions(self) -> int:
        """Tokens that are computed at once."""
        return self.optimization.micro_batch_size * self.context_length


def peak_bytes(load: Load) -> int:
    """Return the most memory that the trainer holds at once."""
    return PROCESS_BYTES + _weights(load) + _activations(load)


def checkpoint_bytes(load: Load) -> int:
    """Return the size of a checkpoint: the weights that move, and the state of the optimizer."""
    return load.trained * FP32 + state_bytes(load)


def state_bytes(load: Load) -> int:
    """Return what the optimizer remembers between steps."""
    settings, matrices = load.optimization, _block_matrices(load)
    momentum = FP32 if settings.momentum else 0
    if settings.optimizer is Optimizer.SGD:
        return load.trained * momentum
    if settings.optimizer is Optimizer.RMSPROP:
        return load.trained * (FP32 + momentum)
    if settings.optimizer is Optimizer.ADAFACTOR:
        return load.trained // max(1, load.shape.width) * 2 * FP32
    if settings.optimizer is Optimizer.MUON:
        return matrices * FP32 + (load.trained - matrices) * 2 * FP32
    return load.trained * 2 * FP32


def _block_matrices(load: Load) -> int:
    if load.adapted:
        return load.trained
    shape = load.shape
    embeddings = load.vocabulary_size * shape.width * (1 if shape.tied_head else 2)
    return max(0, load.trained - embeddings - (2 * shape.layers + 1) * shape.width)


def _weights(load: Load) -> int:
    """Return what stays from step to step, and the gradients."""
    adapters = load.trained if load.adapted else 0
    return (load.parameters + adapters + load.trained) * FP32 + state_bytes(load)


def _activations(load: Load) -> int:
    """Return what the forward pass keeps for the backward pass, and the largest thing that either makes on its way."""
    number = FP32 if load.precision in FULL_PRECISIONS else BF16
    block = load.positions * _of_block(load) * number
    shape = load.shape
    inputs = load.positions * shape.width * FP32
    kept = block + shape.layers * inputs if load.recomputed else shape.layers * block
    logits = LOGITS_COPIES * min(LOGITS_BYTES_MAX, load.positions * load.vocabulary_size * FP32)
    return kept + max(logits, block)


def _of_block(load: Load) -> int:
    """Return the numbers that a block keeps of a position: what goes into its products, and attention weights."""
    shape = load.shape
    plain = load.context_length <= max(PLAIN_KEYS_MIN, PLAIN_KEYS_PER_HEAD_WIDTH * (shape.width // shape.heads))
    scores = SCORES_COPIES * shape.heads * load.context_length if plain else 0
    adapters = 2 * shape.width if load.adapted else 0
    return WIDTHS_OF_BLOCK * shape.width + FEED_FORWARDS_OF_BLOCK * shape.feed_forward_width + scores + adapters
