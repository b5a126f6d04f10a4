"""The shape of a decoder: what has to be known to rebuild it around stored weights."""

import dataclasses
import types
import typing
from typing import Any

ACTIVATIONS = ("silu", "gelu_tanh")
ROTARY_SCALINGS = ("linear", "llama3")


@dataclasses.dataclass(frozen=True)
class RotaryScaling:
    """How angles are slowed down for a context longer than the one that a model was first trained with.

    `linear` divides all of them by `factor`. `llama3` divides those that turn slower than `low_frequency_factor` times
    in the original context, leaves those that turn faster than `high_frequency_factor` times, and blends between.
    Source: Llama 3.1's reference code, `apply_scaling`; linear: Chen et al. 2023, arXiv 2306.15595.
    """

    kind: str
    factor: float
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    original_context_length: int = 8192

    def __post_init__(self) -> None:
        if self.kind not in ROTARY_SCALINGS:
            raise ValueError(f"rotary scaling is {self.kind!r}, must be one of {', '.join(ROTARY_SCALINGS)}")
        if self.factor <= 0 or not 0 < self.low_frequency_factor < self.high_frequency_factor:
            raise ValueError(f"rotary scaling has unusable factors: {self}")
        if self.original_context_length < 1:
            raise ValueError(f"rotary scaling has an original context of {self.original_context_length} tokens")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The nine numbers of a plain decoder, and the optional parts that model families add to it."""

    layers: int
    width: int
    heads: int
    key_value_heads: int
    feed_forward_width: int
    context_length: int
    tied_head: bool
    rotary_base: float
    vocabulary_size: int
    # Where it is not width / heads.
    own_head_width: int | None = None
    norm_epsilon: float = 1e-5
    qkv_bias: bool = False
    out_bias: bool = False
    feed_forward_bias: bool = False
    # Queries and keys are normalised, head by head, before they are rotated.
    query_key_norm: bool = False
    # What a layer adds to the residual stream is normalised as well.
    post_norms: bool = False
    activation: str = "silu"
    embedding_scale: float = 1.0
    # What scores are multiplied by, where it is not the root of 1 / head width.
    query_scale: float | None = None
    # x becomes cap · tanh(x / cap).
    attention_soft_cap: float | None = None
    logit_soft_cap: float | None = None
    # In these layers a query sees only so many keys, itself included.
    sliding_window: int | None = None
    local_layers: tuple[int, ...] = ()
    # Where it is another in the local layers; those know no scaling.
    local_rotary_base: float | None = None
    rotary_scaling: RotaryScaling | None = None

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "key_value_heads", "feed_forward_width", "context_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        if self.own_head_width is None and self.width % self.heads:
            raise ValueError(f"width {self.width} does not give {self.heads} heads an even number each")
        if self.head_width < 2 or self.head_width % 2:
            raise ValueError(f"width {self.width} does not give {self.heads} heads an even number each")
        if self.heads % self.key_value_heads:
            raise ValueError(f"key_value_heads {self.key_value_heads} does not divide heads {self.heads}")
        if self.vocabulary_size < 2 or self.rotary_base <= 0:
            raise ValueError(f"vocabulary_size {self.vocabulary_size} or rotary_base {self.rotary_base} is too small")
        self._check_parts()

    def _check_parts(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation is {self.activation!r}, must be one of {', '.join(ACTIVATIONS)}")
        for name in ("norm_epsilon", "embedding_scale", "query_scale", "attention_soft_cap", "logit_soft_cap"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} is {value}, must be above 0")
        if self.local_rotary_base is not None and self.local_rotary_base <= 0:
            raise ValueError(f"local_rotary_base is {self.local_rotary_base}, must be above 0")
        if (self.sliding_window is None) != (not self.local_layers) or (self.sliding_window or 1) < 1:
            raise ValueError(f"sliding_window {self.sliding_window} does not go with {len(self.local_layers)} layers")
        if list(self.local_layers) != sorted(set(self.local_layers) & set(range(self.layers))):
            raise ValueError(f"local_layers must be rising numbers below {self.layers}")

    @property
    def head_width(self) -> int:
        return self.own_head_width or self.width // self.heads

    @property
    def score_scale(self) -> float:
        """What the product of a query and a key is multiplied by."""
        return self.head_width**-0.5 if self.query_scale is None else self.query_scale

    @property
    def parameters(self) -> int:
        """Number of weights; the formula that forecasts use."""
        width, feed_forward_width = self.width, self.feed_forward_width
        qkv_width = (self.heads + 2 * self.key_value_heads) * self.head_width
        attention = width * qkv_width + self.heads * self.head_width * width
        biases = qkv_width * self.qkv_bias + width * self.out_bias
        biases += (2 * feed_forward_width + width) * self.feed_forward_bias
        norms = 2 * width * (1 + self.post_norms) + 2 * self.head_width * self.query_key_norm
        layer = attention + 3 * width * feed_forward_width + biases + norms
        embeddings = self.vocabulary_size * width * (1 if self.tied_head else 2)
        return embeddings + self.layers * layer + width

    def to_values(self) -> dict[str, Any]:
        """What JSON can hold; optional parts only where they are in use."""
        values = dataclasses.asdict(self)
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value != defaults[name]}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "ModelConfig":
        """Raises: ValueError if a key is missing, unknown, or of another type than its field."""
        checked = checked_values(cls, values, what="a model config")
        if checked.get("rotary_scaling") is not None:
            scaling = checked_values(RotaryScaling, checked["rotary_scaling"], what="rotary_scaling")
            checked["rotary_scaling"] = RotaryScaling(**scaling)
        checked["local_layers"] = tuple(checked.get("local_layers", ()))
        return cls(**checked)


def checked_values(cls: type, values: object, *, what: str) -> dict[str, Any]:
    """The values for the fields of a dataclass. Raises: ValueError as above."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    needed = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    if not isinstance(values, dict) or not needed <= set(values) <= set(fields):
        found = sorted(values) if isinstance(values, dict) else values
        raise ValueError(f"{what} holds {sorted(needed)}, and more of {sorted(set(fields) - needed)}; not {found}")
    for name, value in values.items():
        if not accepts(fields[name].type, value):
            raise ValueError(f"{name} of {what} is {value!r}, not a {fields[name].type}")
    return dict(values)


def accepts(kind: Any, value: object) -> bool:
    """Whether a value read from JSON may stand in a field of this type; an int will do for a float."""
    if isinstance(kind, types.UnionType):
        return any(accepts(part, value) for part in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return isinstance(value, list | tuple) and all(type(item) is int for item in value)
    if kind is RotaryScaling:
        return isinstance(value, dict)
    return type(value) in ((int, float) if kind is float else (kind,))
