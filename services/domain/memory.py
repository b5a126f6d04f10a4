"""How much memory a trainer needs at most, from the shape of the model and what is done with it.

What stays from step to step is counted exactly. How much the passes of a block keep was counted in the trainer's own
code and held against what its processes took: docs/lab/2026-11-forecast.md has the numbers.
"""

import dataclasses

from services.domain.architecture import Architecture, TokenizerKind
from services.domain.fine_tuning import FineTuneSpec
from services.domain.optimization import OptimizationSpec, Optimizer
from services.domain.run_settings import Precision
from services.domain.training import TrainSpec

FP32 = 4  # bytes of a number
HALF = 2.5  # bytes of a number on average where products take 16 bits: norms and sums are kept whole
CAST = 2  # bytes of a weight as products of 16 bits take it, kept from the forward to the backward pass
PROCESS_BYTES = 270_000_000  # Python, torch and its libraries, before anything is computed
TOKENIZER_TEXT_MAX = 2**26  # of a longer text no more is read
WORDS_BYTES, WORDS_POWER = 27_000, 0.6
LOGITS_BYTES_MAX = 2**28  # larger ones are computed in pieces of this size
LOGITS_COPIES = 5  # themselves, their softmax, the gradients of both, and one that the allocator cannot use again
WIDTHS_OF_BLOCK = 16  # numbers that a block keeps of a position, in units of the model width
WIDTHS_OF_ADAPTERS = 3  # and this many more where adapters see the same inputs
WIDTHS_DROPPED = 2  # and this many more with residual dropout
SCORES_DROPPED = 2.5  # attention weights with dropout, its mask included, against those without
FEED_FORWARDS_OF_BLOCK = 4  # the same in units of the feed-forward width
BLOCKS_ON_THE_WAY = 1.0  # what the backward pass makes and throws away, in units of what a block keeps
BLOCKS_RECOMPUTED = 3.75  # the same where a block is computed again first, with what that keeps
ACCUMULATED = 1.25  # of the activations, from the second part of a batch on: pages are not quite where they were
PLAIN_KEYS_MIN, PLAIN_KEYS_PER_HEAD_WIDTH = 512, 8  # contexts whose attention processors compute, and keep, plainly


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
    tuned: bool
    residual_dropout: bool
    attention_dropout: bool
    on_gpu: bool = False
    learnt_text_bytes: int = 0
    """Text that a tokenizer is trained on first."""
    sequences_per_row: int = 1
    """Sequences that a row of the batch makes, all of them computed at once."""
    kept_parameters: int = 0
    """Weights of other models that are held beside this one: the base to stay close to, and what scores answers."""

    @property
    def positions(self) -> int:
        """Tokens that are computed at once."""
        return self.optimization.micro_batch_size * self.sequences_per_row * self.context_length

    @property
    def number_bytes(self) -> float:
        """Bytes of a number that a pass keeps; where the worker decides, a GPU takes bf16 and a processor may not."""
        if self.precision is Precision.AUTO:
            return HALF if self.on_gpu else FP32
        return HALF if self.precision in (Precision.BF16, Precision.FP16) else FP32


def load_of(
    spec: TrainSpec | FineTuneSpec, *, on_gpu: bool = False, text_bytes: int = 0, reward_parameters: int = 0
) -> Load:
    """Return what a step of the run works on.

    `text_bytes` is the size of the training part, `reward_parameters` the number of weights of what scores answers.
    """
    tuned = spec if isinstance(spec, FineTuneSpec) else None
    learns_tokens = isinstance(spec, TrainSpec) and spec.tokenizer.kind is TokenizerKind.BPE
    return Load(
        shape=spec.shape,
        parameters=spec.parameters,
        trained=spec.trained_parameters,
        vocabulary_size=spec.vocabulary_size,
        context_length=spec.context_length,
        optimization=spec.optimization,
        precision=spec.precision,
        recomputed=spec.compute.activation_checkpointing,
        adapted=spec.adapted,
        tuned=tuned is not None,
        residual_dropout=spec.regularization.residual_dropout > 0,
        attention_dropout=spec.regularization.attention_dropout > 0,
        on_gpu=on_gpu,
        learnt_text_bytes=min(text_bytes, TOKENIZER_TEXT_MAX) if learns_tokens else 0,
        sequences_per_row=tuned.sequences_per_row if tuned else 1,
        kept_parameters=reward_parameters + (_base_kept(tuned) if tuned else 0),
    )


def _base_kept(spec: FineTuneSpec) -> int:
    """Return the weights of the base that GRPO stays close to; adapters can be left out to have it."""
    return spec.parameters if spec.grpo and spec.grpo.kl_weight and not spec.adapted else 0


def peak_bytes(load: Load) -> int:
    """Return the most memory that the trainer holds at once: of the GPU if it has one, else of the process."""
    process = 0 if load.on_gpu else PROCESS_BYTES + _tokenizer(load)
    gradients = load.trained * FP32
    passes = _activations(load)
    if load.optimization.micro_batch_size < load.optimization.batch_size:
        passes = round(passes * ACCUMULATED)
    return process + _weights(load) + gradients + state_bytes(load) + passes


def _tokenizer(load: Load) -> int:
    """Return what training a tokenizer leaves behind: a text has so many different words, and each of them is counted.

    Source of the power: Heaps 1978, Information retrieval, section 7.5.
    """
    return round(WORDS_BYTES * load.learnt_text_bytes**WORDS_POWER)


def checkpoint_bytes(load: Load) -> int:
    """Return the size of a checkpoint: the weights that move, and the state of the optimizer."""
    return load.trained * FP32 + state_bytes(load)


def state_bytes(load: Load) -> int:
    """Return what the optimizer remembers between steps."""
    settings = load.optimization
    momentum = FP32 if settings.momentum else 0
    if settings.optimizer is Optimizer.SGD:
        return load.trained * momentum
    if settings.optimizer is Optimizer.RMSPROP:
        return load.trained * (FP32 + momentum)
    if settings.optimizer is Optimizer.ADAFACTOR:
        return load.trained // max(1, load.shape.width) * 2 * FP32
    if settings.optimizer is Optimizer.MUON:
        matrices = _block_matrices(load)
        return matrices * FP32 + (load.trained - matrices) * 2 * FP32
    return load.trained * 2 * FP32


def _block_matrices(load: Load) -> int:
    if load.adapted:
        return load.trained
    shape = load.shape
    embeddings = load.vocabulary_size * shape.width * (1 if shape.tied_head else 2)
    return max(0, load.trained - embeddings - (2 * shape.layers + 1) * shape.width)


def _weights(load: Load) -> int:
    """Return the weights; those of a base are read beside the model that takes them up, and products have their own."""
    copies = 2 if load.tuned else 1
    casts = load.parameters * CAST if load.number_bytes == HALF else 0
    own = copies * load.parameters + (load.trained if load.adapted else 0)
    return (own + load.kept_parameters) * FP32 + casts


def _activations(load: Load) -> int:
    """Return what the forward pass keeps for the backward pass, and the largest thing that either makes on its way."""
    block = round(load.positions * _of_block(load) * load.number_bytes)
    logits = LOGITS_COPIES * min(LOGITS_BYTES_MAX, load.positions * load.vocabulary_size * FP32)
    kept, on_the_way = load.shape.layers * block, BLOCKS_ON_THE_WAY * block
    if load.recomputed:
        kept, on_the_way = load.shape.layers * load.positions * load.shape.width * FP32, BLOCKS_RECOMPUTED * block
    return kept + round(max(logits, on_the_way))


def _of_block(load: Load) -> int:
    """Return the numbers that a block keeps of a position: what goes into its products, and attention weights."""
    shape = load.shape
    most = max(PLAIN_KEYS_MIN, PLAIN_KEYS_PER_HEAD_WIDTH * (shape.width // shape.heads))
    plain = load.context_length <= most and not load.on_gpu
    scores = shape.heads * load.context_length * (SCORES_DROPPED if load.attention_dropout else 1) if plain else 0
    widths = WIDTHS_OF_BLOCK + WIDTHS_OF_ADAPTERS * load.adapted + WIDTHS_DROPPED * load.residual_dropout
    return round(widths * shape.width + FEED_FORWARDS_OF_BLOCK * shape.feed_forward_width + scores)
