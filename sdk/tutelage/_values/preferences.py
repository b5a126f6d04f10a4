"""What fine-tuning learns from: its methods and their settings."""

import dataclasses

from tutelage._values.drawing import Checker
from tutelage._values.value import Value, WireEnum


class Method(WireEnum):
    """What fine-tuning learns from."""

    UNSPECIFIED = "UNSPECIFIED"
    """SFT."""
    SFT = "SFT"
    """The next token of examples: texts, prompts with completions, conversations, or the examples of a feedback set."""
    DPO = "DPO"
    """Direct preference optimization, on pairs (Rafailov et al. 2023)."""
    IPO = "IPO"
    """Identity preference optimization, on pairs (Azar et al. 2023)."""
    KTO = "KTO"
    """Kahneman-Tversky optimization, on labelled answers (Ethayarajh et al. 2024)."""
    SIMPO = "SIMPO"
    """Simple preference optimization, on pairs, without a reference (Meng et al. 2024)."""
    ORPO = "ORPO"
    """Odds ratio preference optimization, on pairs, without a reference (Hong et al. 2024)."""
    REWARD = "REWARD"
    """A reward model, on pairs (Ouyang et al. 2022): it scores texts and cannot be sampled from."""
    GRPO = "GRPO"
    """Group relative policy optimization, on prompts (Shao et al. 2024): the model answers, and learns from scores."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceSpec(Value):
    """How a model learns from preferences.

    The reference of DPO, IPO and KTO is the base; its log-probabilities are computed once, before the first step.
    """

    beta: float | None
    """How closely the model stays to the reference; above 0, at most 100. Default 0.1; SimPO 2; ORPO: the weight of the
    odds ratio, default 0.1. Not of reward models.
    """
    label_smoothing: float | None
    """Share of pairs that are taken to be the wrong way round; 0 to below 0.5. Default 0. DPO only (Chowdhury et al.
    2024).
    """
    margin: float | None
    """The margin between chosen and rejected answers that SimPO aims at; 0 to 100. Default 0.5. SimPO only."""
    sft_weight: float | None
    """Weight of learning the chosen answer itself (Pang et al. 2024); 0 to 100. Default 0. DPO and IPO only."""
    desirable_weight: float | None
    """Weight of answers labelled good; above 0, at most 100. Default 1. KTO only."""
    undesirable_weight: float | None
    """Weight of answers labelled bad; above 0, at most 100. Default 1. KTO only."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrpoSpec(Value):
    """How GRPO draws answers and learns from them. Either a checker or a reward model scores them."""

    group_size: int | None
    """Answers to each prompt, which are compared with one another; 2 to 64. Default 8."""
    max_tokens: int | None
    """Most tokens of an answer; 1 to 4096. Default 64."""
    temperature: float | None
    """How freely to draw; above 0, at most 10. Default 1."""
    checker: Checker | None
    """A checker that scores."""
    reward_model: str
    """A reward model that scores: a model, a version or an alias. The job shows the exact version."""
    kl_weight: float | None
    """Weight of staying close to the base; 0 to 100. Default 0.04."""
    clip_ratio: float | None
    """How far the probability of a token may move in one step, as a ratio; above 0, below 1. Default 0.2."""
    updates: int | None
    """Updates from the same answers; 1 to 16. Default 1."""
