"""Saying what the service offers."""

import dataclasses

from services.domain.limits import shown_limits
from services.domain.presets import PRESETS, Preset
from services.domain.projects import Caller
from services.ports import House


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerInfo:
    """Version, presets and limits."""

    version: str
    presets: tuple[Preset, ...]
    limits: dict[str, float]


def get_server_info(house: House, *, caller: Caller) -> ServerInfo:
    """Return the version of the service, its presets and its limits."""
    limits = {limit.name: limit.value for limit in shown_limits()}
    return ServerInfo(version=house.version, presets=tuple(PRESETS.values()), limits=limits)
