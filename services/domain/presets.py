"""Ready-made shapes with settings that suit them.

Learning rates fall with the width; batch and context grow with the size. A preset is a starting point: every value can
be overridden, and the job shows what was used.
"""

import dataclasses

from services.domain.limits import BYTE_VOCABULARY_SIZE
from services.domain.training import Architecture

FEED_FORWARD_MULTIPLE = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A shape with learning rate, batch and number of steps."""

    name: str
    description: str
    architecture: Architecture
    learning_rate: float
    batch_size: int
    steps: int
    micro_batch_size: int | None = None
    """Sequences computed at once, where the whole batch would be too many for any device."""

    @property
    def parameters(self) -> int:
        """Number of weights with the byte tokenizer."""
        return self.architecture.parameters(BYTE_VOCABULARY_SIZE)


def feed_forward_width_for(width: int) -> int:
    """Return the usual width of the feed-forward layer: 8/3 of the model width, rounded up to a multiple of 64."""
    return -(-8 * width // (3 * FEED_FORWARD_MULTIPLE)) * FEED_FORWARD_MULTIPLE


def _shape(*, layers: int, width: int, heads: int, context_length: int) -> Architecture:
    return Architecture(
        layers=layers,
        width=width,
        heads=heads,
        key_value_heads=heads,
        feed_forward_width=feed_forward_width_for(width),
        context_length=context_length,
        tied_head=True,
    )


def _llama(
    *, layers: int, width: int, heads: int, feed_forward_width: int, context_length: int, tied_head: bool
) -> Architecture:
    """Return a shape of the Llama 3 family: several query heads share each of 8 key and value heads.

    Source: Grattafiori et al. 2024, arXiv 2407.21783, table 3, and the model cards of Llama 3.2.
    """
    return Architecture(
        layers=layers,
        width=width,
        heads=heads,
        key_value_heads=8,
        feed_forward_width=feed_forward_width,
        context_length=context_length,
        tied_head=tied_head,
        rotary_base=500_000.0,
    )


_ALL = (
    Preset(
        name="nano",
        description="A minute on a laptop, to see that everything works: letters become words.",
        architecture=_shape(layers=5, width=128, heads=4, context_length=128),
        learning_rate=2e-3,
        batch_size=16,
        steps=500,
    ),
    Preset(
        name="tiny",
        description="Minutes on a laptop: words and the look of the text.",
        architecture=_shape(layers=4, width=192, heads=6, context_length=128),
        learning_rate=1e-3,
        batch_size=32,
        steps=500,
    ),
    Preset(
        name="mini",
        description="A quarter of an hour on a laptop: phrases and layout.",
        architecture=_shape(layers=4, width=256, heads=8, context_length=256),
        learning_rate=1e-3,
        batch_size=32,
        steps=1000,
    ),
    Preset(
        name="small",
        description="Hours on a laptop, minutes on an accelerator: sentences.",
        architecture=_shape(layers=6, width=384, heads=6, context_length=256),
        learning_rate=1e-3,
        batch_size=64,
        steps=5000,
    ),
    Preset(
        name="medium",
        description="For an accelerator: paragraphs, from some hundred megabytes of text.",
        architecture=_shape(layers=8, width=512, heads=8, context_length=512),
        learning_rate=6e-4,
        batch_size=64,
        steps=20_000,
    ),
    Preset(
        name="large",
        description="The shape of GPT-2 small, for an accelerator and gigabytes of text.",
        architecture=_shape(layers=12, width=768, heads=12, context_length=1024),
        learning_rate=6e-4,
        batch_size=128,
        steps=50_000,
    ),
    Preset(
        name="huge",
        description="The shape of GPT-2 medium, for a large accelerator and days of time.",
        architecture=_shape(layers=24, width=1024, heads=16, context_length=1024),
        learning_rate=3e-4,
        batch_size=256,
        steps=100_000,
    ),
    Preset(
        name="1b",
        description="The shape of Llama 3.2 1B, for an accelerator of 80 GB and some 20 billion tokens.",
        architecture=_llama(
            layers=16, width=2048, heads=32, feed_forward_width=8192, context_length=4096, tied_head=True
        ),
        learning_rate=4e-4,
        batch_size=256,
        micro_batch_size=4,
        steps=20_000,
    ),
    Preset(
        name="3b",
        description="The shape of Llama 3.2 3B, for an accelerator of 80 GB and some 60 billion tokens.",
        architecture=_llama(
            layers=28, width=3072, heads=24, feed_forward_width=8192, context_length=4096, tied_head=True
        ),
        learning_rate=3e-4,
        batch_size=512,
        micro_batch_size=2,
        steps=30_000,
    ),
    Preset(
        name="8b",
        description="The shape of Llama 3.1 8B, for an accelerator of 192 GB and some 160 billion tokens.",
        architecture=_llama(
            layers=32, width=4096, heads=32, feed_forward_width=14336, context_length=4096, tied_head=False
        ),
        learning_rate=3e-4,
        batch_size=1024,
        micro_batch_size=1,
        steps=40_000,
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
DEFAULT_PRESET = "tiny"
