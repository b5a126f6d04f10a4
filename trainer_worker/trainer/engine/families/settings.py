"""The values of a config.json of Hugging Face, read with care: each that is wrong is named."""

from typing import Any

from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.model_config import ModelConfig, RotaryScaling

# The longest context of the house. A model that promises more is read with this one: nothing else about it changes.
CONTEXT_LENGTH_MAX = 32_768
CONFIG = "config.json"
# Far beyond any model that a worker could hold; so that a file of a few bytes cannot ask for endless work.
SIZES_MAX = {
    "num_hidden_layers": 512,
    "hidden_size": 65_536,
    "num_attention_heads": 1_024,
    "num_key_value_heads": 1_024,
    "head_dim": 4_096,
    "intermediate_size": 1 << 20,
    "vocab_size": 1 << 20,
}


class Settings:
    """An object of config.json; `where` is what it is called in messages."""

    def __init__(self, values: dict[str, Any], *, where: str = CONFIG) -> None:
        self.values = values
        self.where = where

    def whole(self, name: str, default: int | None = None) -> int:
        """Raises: UnusableData, as the others, if the value is of another type, or missing with no default."""
        value: int = self._checked(name, default, (int,), "a whole number")
        if value > SIZES_MAX.get(name, value):
            raise UnusableData(f"{self.where}: {name} is {value:,}, more than {SIZES_MAX[name]:,}")
        return value

    def real(self, name: str, default: float | None = None) -> float:
        return float(self._checked(name, default, (int, float), "a number"))

    def flag(self, name: str, default: bool = False) -> bool:
        return self._checked(name, default, (bool,), "true or false")

    def words(self, name: str, default: str | None = None) -> str:
        return self._checked(name, default, (str,), "a text")

    def optional_whole(self, name: str, default: int | None = None) -> int | None:
        return self.whole(name, default) if self._given(name) or default is not None else None

    def optional_real(self, name: str, default: float | None = None) -> float | None:
        """Null in the file is none, whatever the default."""
        if name in self.values and self.values[name] is None:
            return None
        return self.real(name, default) if self._given(name) or default is not None else None

    def part(self, name: str) -> "Settings | None":
        """An object inside, or None if there is none."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise UnusableData(f"{self.where}: {name} is {value!r}, not an object")
        return Settings(value, where=f"{self.where}: {name}")

    def list_of_words(self, name: str) -> list[str] | None:
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UnusableData(f"{self.where}: {name} is {value!r}, not a list of texts")
        return value

    def refuse(self, name: str, *, unless: tuple[object, ...], why: str) -> None:
        """Raises: UnusableData if a value is given and is none of these."""
        value = self.values.get(name)
        if value is not None and not any(type(value) is type(good) and value == good for good in unless):
            raise UnusableData(f"{self.where}: {name} is {value!r}, {why}")

    def _given(self, name: str) -> bool:
        return self.values.get(name) is not None

    def _checked(self, name: str, default: Any, kinds: tuple[type, ...], what: str) -> Any:
        value = self.values.get(name)
        if value is None:
            if default is None:
                raise UnusableData(f"{self.where} has no {name}")
            return default
        if type(value) not in kinds:
            raise UnusableData(f"{self.where}: {name} is {value!r}, not {what}")
        return value


def shape_of(settings: Settings, **parts: Any) -> ModelConfig:
    """The numbers that every family names alike, with the optional parts of one. Raises: UnusableData."""
    settings.refuse("quantization_config", unless=(), why="and quantised weights are not read")
    settings.refuse("use_bidirectional_attention", unless=(False,), why="and here a token sees those before it only")
    values: dict[str, Any] = {
        "layers": settings.whole("num_hidden_layers"),
        "width": settings.whole("hidden_size"),
        "heads": settings.whole("num_attention_heads"),
        "feed_forward_width": settings.whole("intermediate_size"),
        "vocabulary_size": settings.whole("vocab_size"),
        "context_length": min(settings.whole("max_position_embeddings"), CONTEXT_LENGTH_MAX),
        "norm_epsilon": settings.real("rms_norm_eps", 1e-6),
    }
    values["key_value_heads"] = settings.whole("num_key_value_heads", values["heads"])
    try:
        return ModelConfig(**values | parts)
    except (ValueError, ZeroDivisionError) as error:
        raise UnusableData(f"{settings.where} describes no model: {error}") from error


def own_head_width(settings: Settings, default: int | None = None) -> int | None:
    """The width of a head where it is not what width and heads say."""
    head_width = settings.optional_whole("head_dim", default)
    return None if head_width is None or implied_head_width(settings) == head_width else head_width


def implied_head_width(settings: Settings) -> int | None:
    width, heads = settings.whole("hidden_size"), settings.whole("num_attention_heads")
    return width // heads if heads > 0 and width % heads == 0 else None


def rotary_of(settings: Settings, *, base: float = 10_000.0, layers: str | None = None) -> dict[str, Any]:
    """`rotary_base` and `rotary_scaling`, in the new form (`rope_parameters`) or the old one.

    `layers` is the kind of layers where each has its own.
    """
    parameters = settings.part("rope_parameters")
    if parameters is not None and layers is not None:
        parameters = parameters.part(layers) or parameters
    base = settings.real("rope_theta", base)
    if parameters is not None:
        base = parameters.real("rope_theta", base)
    scaling = parameters or settings.part("rope_scaling")
    for holder in (settings, scaling):
        if holder is not None:
            holder.refuse("partial_rotary_factor", unless=(1, 1.0), why="and here all of a head is rotated")
    return {"rotary_base": base, "rotary_scaling": scaling_of(scaling, settings) if scaling else None}


def scaling_of(scaling: Settings, settings: Settings) -> RotaryScaling | None:
    kind = scaling.words("rope_type", scaling.words("type", "default"))
    try:
        match kind:
            case "default":
                return None
            case "linear":
                return RotaryScaling(kind="linear", factor=scaling.real("factor"))
            case "llama3":
                known = settings.whole("max_position_embeddings")
                return RotaryScaling(
                    kind="llama3",
                    factor=scaling.real("factor"),
                    low_frequency_factor=scaling.real("low_freq_factor"),
                    high_frequency_factor=scaling.real("high_freq_factor"),
                    original_context_length=scaling.whole("original_max_position_embeddings", known),
                )
    except ValueError as error:
        raise UnusableData(f"{scaling.where}: {error}") from error
    raise UnusableData(f"{scaling.where} is of type {kind!r}; default, linear and llama3 are read")


def sliding_layers(settings: Settings, *, default: list[bool]) -> tuple[int, ...]:
    """The layers that see the nearest keys only, by `layer_types` or by the family's own rule."""
    named = settings.list_of_words("layer_types")
    if named is None:
        return tuple(layer for layer, local in enumerate(default) if local)
    if len(named) != len(default):
        raise UnusableData(f"{settings.where}: layer_types names {len(named)} layers of {len(default)}")
    if unknown := set(named) - {"full_attention", "sliding_attention"}:
        raise UnusableData(f"{settings.where}: layer_types has {sorted(unknown)[0]!r}, which is not read")
    return tuple(layer for layer, kind in enumerate(named) if kind == "sliding_attention")


def layers_with_window(settings: Settings, *, default: list[bool], window: int | None) -> dict[str, Any]:
    """`sliding_window` and `local_layers`; neither if no layer is local."""
    layers = sliding_layers(settings, default=default) if window is not None else ()
    return {"sliding_window": window, "local_layers": layers} if layers else {}


def plain_values(shape: ModelConfig) -> dict[str, Any]:
    """What every family writes alike, in the form that old and new readers understand."""
    values: dict[str, Any] = {
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.width,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_value_heads,
        "head_dim": shape.head_width,
        "intermediate_size": shape.feed_forward_width,
        "vocab_size": shape.vocabulary_size,
        "max_position_embeddings": shape.context_length,
        "rms_norm_eps": shape.norm_epsilon,
        "tie_word_embeddings": shape.tied_head,
        "rope_theta": shape.rotary_base,
        "rope_scaling": None,
        "attention_dropout": 0.0,
    }
    if shape.rotary_scaling is not None:
        scaling = shape.rotary_scaling
        values["rope_scaling"] = {"rope_type": scaling.kind, "factor": scaling.factor}
        if scaling.kind == "llama3":
            values["rope_scaling"] |= {
                "low_freq_factor": scaling.low_frequency_factor,
                "high_freq_factor": scaling.high_frequency_factor,
                "original_max_position_embeddings": scaling.original_context_length,
            }
    return values


def layer_types(shape: ModelConfig) -> list[str]:
    local = set(shape.local_layers)
    return ["sliding_attention" if layer in local else "full_attention" for layer in range(shape.layers)]
