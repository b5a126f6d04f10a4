"""Of what shape a model is, and how its text becomes tokens."""

import dataclasses
import enum

from services.domain.limits import BYTE_VOCABULARY_SIZE


class TokenizerKind(enum.Enum):
    """How text becomes tokens."""

    BYTES = "BYTES"
    BPE = "BPE"
    FILE = "FILE"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerSpec:
    """The tokenizer, decided. `dataset` holds its file, for FILE."""

    kind: TokenizerKind = TokenizerKind.BYTES
    vocabulary_size: int = BYTE_VOCABULARY_SIZE
    dataset: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Architecture:
    """The shape of a decoder-only transformer (RMSNorm, rotary positions, SwiGLU), decided."""

    layers: int
    width: int
    heads: int
    key_value_heads: int
    feed_forward_width: int
    context_length: int
    tied_head: bool
    rotary_base: float = 10000.0

    @property
    def key_value_width(self) -> int:
        """Width of all keys of a layer, and of all values."""
        return self.width // self.heads * self.key_value_heads

    def parameters(self, vocabulary_size: int) -> int:
        """Return the exact number of weights: embedding, head, blocks of seven matrices and two norms, last norm."""
        attention = 2 * self.width * self.width + 2 * self.width * self.key_value_width
        block = attention + 3 * self.width * self.feed_forward_width + 2 * self.width
        embeddings = vocabulary_size * self.width * (1 if self.tied_head else 2)
        return embeddings + self.layers * block + self.width


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerDraft:
    """The tokenizer, as asked for."""

    kind: TokenizerKind | None = None
    vocabulary_size: int | None = None
    dataset: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchitectureDraft:
    """The dimensions that differ from the preset."""

    layers: int | None = None
    width: int | None = None
    heads: int | None = None
    key_value_heads: int | None = None
    feed_forward_width: int | None = None
    context_length: int | None = None
    tied_head: bool | None = None
    rotary_base: float | None = None
