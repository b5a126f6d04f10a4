"""Numbers in their ranges."""

import math
from collections.abc import Iterator, Mapping

from services.domain.errors import FieldViolation


def outside(of: object, path: str, ranges: Mapping[str, tuple[float, float]]) -> Iterator[FieldViolation]:
    """Name the fields outside their range, ends included; what is not a number is outside every range."""
    for name, (least, most) in ranges.items():
        value = getattr(of, name)
        if not (least <= value <= most and math.isfinite(value)):
            description = (
                f"must be {_shown(least)} to {_shown(most)}"
                if math.isfinite(most)
                else f"must be at least {_shown(least)} and finite"
            )
            yield FieldViolation(f"{path}.{name}", f"{description}, got {value}")


def not_shares(of: object, path: str, names: tuple[str, ...]) -> Iterator[FieldViolation]:
    """Name the fields that are no share of a whole: at least 0 and below 1."""
    for name in names:
        value = getattr(of, name)
        if value is not None and not 0 <= value < 1:
            yield FieldViolation(f"{path}.{name}", f"must be at least 0 and below 1, got {value}")


def _shown(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)
