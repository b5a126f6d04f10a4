"""What a run would take, before it runs."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast:
    """Sizes follow from the shapes; times rest on what this cluster has measured, and are None without history."""

    parameters: int
    flops: float
    tokens: int
    epochs: float
    memory_bytes: int
    checkpoint_bytes: int
    duration_s: float | None = None
    duration_low_s: float | None = None
    duration_high_s: float | None = None
    queue_s: float | None = None
    basis: str = ""
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` turns back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Forecast":
        """Return the forecast behind plain values."""
        return cls(**{**plain, "warnings": tuple(plain["warnings"])})
