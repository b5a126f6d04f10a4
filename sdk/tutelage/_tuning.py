"""What to train on beside the first dataset, and which weights: mixtures and low-rank adapters."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tutelage._errors import local_refusal
from tutelage._names import dataset_name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank adaptation: the weights of the base stay, and small matrices beside them learn.

    What is left out is chosen by the service: `Lora()` is rank 16 on every projection.
    """

    rank: int | None = None
    """Rank of the matrices; 1 to 1024. Default 16."""
    alpha: float | None = None
    """Scale of what they add, divided by the rank; above 0, at most 4096. Default: twice the rank."""
    dropout: float | None = None
    """Share of their input that is left out while training; 0 to below 1. Default 0."""
    targets: Sequence[str] | None = None
    """Which projections get them: query, key, value, out, gate, up, down. Default: all."""
    rank_stabilized: bool | None = None
    """Divide alpha by the root of the rank instead (rsLoRA). Default False."""


LORA_FIELDS = tuple(field.name for field in dataclasses.fields(Lora))


def set_lora(spec: Any, lora: Lora | Mapping[str, Any] | bool | None) -> None:
    """Sets the adapters of a FineTuneSpec; None and False leave all weights to move.

    Raises: InvalidArgument for a field that does not exist or whose value does not fit its type.
    """
    if lora is None or lora is False:
        return
    spec.lora.SetInParent()
    for name, value in lora_fields(lora).items():
        if name not in LORA_FIELDS:
            raise local_refusal(f"lora.{name}", f"there is no such field; there are {', '.join(LORA_FIELDS)}")
        if value is None:
            continue
        try:
            if name == "targets":
                spec.lora.targets.extend(required_targets(value))
            else:
                setattr(spec.lora, name, value)
        except (TypeError, ValueError) as error:
            raise local_refusal(f"lora.{name}", f"{value!r} is not usable: {error}") from error


def required_targets(value: str | Sequence[str]) -> Sequence[str]:
    """Returns the targets. Raises: ValueError if there are none, which would mean all of them to the service."""
    targets = [value] if isinstance(value, str) else list(value)
    if not any(targets):
        raise ValueError("name at least one target, or leave them out for all")
    return targets


def lora_fields(lora: Lora | Mapping[str, Any] | bool) -> Mapping[str, Any]:
    """Returns what was given of the adapters, by field."""
    if isinstance(lora, Lora):
        return vars(lora)
    if isinstance(lora, Mapping):
        return lora
    if lora is True:
        return {}
    raise local_refusal("lora", f"{lora!r} is neither a Lora nor a dict such as {{'rank': 16}}")


def set_mixture(spec: Any, mixture: Mapping[str, float] | None) -> None:
    """Sets further datasets with their weights. Raises: InvalidArgument for what is no such mapping."""
    if mixture is None:
        return
    if not isinstance(mixture, Mapping):
        raise local_refusal("mixture", f"{mixture!r} is not a dict of datasets and weights, such as {{'logs': 0.5}}")
    for name, weight in mixture.items():
        try:
            spec.mixture.add(dataset=dataset_name(name), weight=weight)
        except (AttributeError, TypeError, ValueError) as error:
            raise local_refusal(f"mixture.{name}", f"{weight!r} is not a weight: {error}") from error
