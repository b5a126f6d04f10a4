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


_ALL = (
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
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
DEFAULT_PRESET = "tiny"
