"""What services need to know of a model's config.json: its shape. The trainer, which wrote it, reads the rest."""

import dataclasses
import json
from typing import Any

from services.domain.architecture import Architecture
from services.domain.fine_tuning import BaseModel


def base_model_of(config: bytes, *, parameters: int) -> BaseModel | None:
    """Return what is known of a stored model with so many weights; None if the file is not what the trainer writes."""
    try:
        plain = json.loads(config)
        shape, vocabulary_size = plain["architecture"], plain["vocabulary_size"]
        architecture = Architecture(**{field.name: shape[field.name] for field in dataclasses.fields(Architecture)})
        head_width = shape.get("own_head_width")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    counts = [value for name, value in dataclasses.asdict(architecture).items() if name != "rotary_base"]
    if not all(map(_is_count, [*counts, vocabulary_size, head_width or 1])):
        return None
    return BaseModel(
        architecture=architecture, vocabulary_size=vocabulary_size, parameters=parameters, head_width=head_width
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 0
