"""What fine-tuning learns from: the methods, the settings of each, and which of them reads which setting."""

import dataclasses
import enum
from collections.abc import Mapping

from services.domain.drawing import Checker


class Method(enum.Enum):
    """What is learnt from the rows."""

    SFT = "SFT"
    DPO = "DPO"
    IPO = "IPO"
    KTO = "KTO"
    SIMPO = "SIMPO"
    ORPO = "ORPO"
    REWARD = "REWARD"
    GRPO = "GRPO"


OF_PAIRS = frozenset([Method.DPO, Method.IPO, Method.SIMPO, Method.ORPO, Method.REWARD])
"""Methods that learn from a chosen and a rejected answer."""
OF_PREFERENCES = OF_PAIRS | {Method.KTO}
"""Methods that learn from what people thought of answers; a row of theirs is never packed with another one."""
NEEDING_VALIDATION = frozenset([Method.SFT])
"""Methods that must have rows to measure a loss on; the others can say how they do by what they learn from."""
WITH_REFERENCE = frozenset([Method.DPO, Method.IPO, Method.KTO])
"""Methods that hold the model to its base, whose log-probabilities are computed once, before the first step."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceSpec:
    """How a model learns from preferences, decided; what the method does not read is None."""

    beta: float | None = None
    label_smoothing: float | None = None
    margin: float | None = None
    sft_weight: float | None = None
    desirable_weight: float | None = None
    undesirable_weight: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrpoSpec:
    """How GRPO draws answers and learns from them, decided. Either a checker or a reward model scores them.

    `reward_model` is the resource name of the exact version, or empty.
    """

    group_size: int
    max_tokens: int
    temperature: float
    kl_weight: float
    clip_ratio: float
    updates: int
    checker: Checker | None = None
    reward_model: str = ""


OWN_SETTINGS: Mapping[Method, frozenset[str]] = {
    Method.SFT: frozenset(),
    Method.DPO: frozenset(["beta", "label_smoothing", "sft_weight"]),
    Method.IPO: frozenset(["beta", "sft_weight"]),
    Method.KTO: frozenset(["beta", "desirable_weight", "undesirable_weight"]),
    Method.SIMPO: frozenset(["beta", "margin"]),
    Method.ORPO: frozenset(["beta"]),
    Method.REWARD: frozenset(),
    Method.GRPO: frozenset(),
}
"""What each method reads of the settings of preferences."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceDraft:
    """How a model learns from preferences, as asked for."""

    beta: float | None = None
    label_smoothing: float | None = None
    margin: float | None = None
    sft_weight: float | None = None
    desirable_weight: float | None = None
    undesirable_weight: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrpoDraft:
    """How GRPO draws answers and learns from them, as asked for."""

    group_size: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    checker: Checker | None = None
    reward_model: str = ""
    kl_weight: float | None = None
    clip_ratio: float | None = None
    updates: int | None = None
