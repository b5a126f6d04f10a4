"""Group relative policy optimization: what a group of answers to one prompt teaches a model.

    P prompts   G answers to each   A answers of a part   S tokens of these answers

Source: Shao et al. 2024, arXiv 2402.03300, section 4.1: eq. 3 with the estimator of eq. 4.
"""

import dataclasses

import torch
from torch import Tensor

from trainer_worker.trainer.engine.answers import Part
from trainer_worker.trainer.engine.loss import token_losses
from trainer_worker.trainer.engine.model import Decoder

SMALLEST_DEVIATION = 1e-4  # of scores; as in TRL, added so that equal scores divide by no zero


@dataclasses.dataclass(frozen=True)
class PolicyRule:
    """How far a step may go: `clip_ratio` from the policy that drew, and `kl_weight` against leaving the base."""

    clip_ratio: float = 0.2
    kl_weight: float = 0.04
    temperature: float = 1.0


@dataclasses.dataclass(frozen=True)
class TokenLosses:
    """Of each token: the loss, the divergence from the base in nats, whether the ratio was held back. Shapes (S,)."""

    losses_S: Tensor
    divergence_S: Tensor
    clipped_S: Tensor


def advantages(scores_PG: Tensor) -> Tensor:
    """How much better than its group each answer is, in standard deviations of the group; 0 where all are equal.

    Shape (P, G), float32. The deviation is that of a sample, G - 1 in the denominator.
    """
    centred_PG = scores_PG - scores_PG.mean(dim=1, keepdim=True)
    return centred_PG / (scores_PG.std(dim=1, keepdim=True) + SMALLEST_DEVIATION)


def token_logprobs(part: Part, hidden_BTD: Tensor, model: Decoder, *, temperature: float) -> Tensor:
    """How likely each token of the answers is to be drawn at a temperature, in nats. Shape (S,), float32."""
    cap = model.config.logit_soft_cap
    losses_X = token_losses(
        hidden_BTD.flatten(0, 1) / temperature,
        model.output_weight,
        part.batch.targets_BT.flatten(),
        soft_cap=None if cap is None else cap / temperature,  # c / t · tanh(z / c) is the capped logit over t
    )
    return -losses_X[part.target_S]


def token_policy_losses(
    policy_S: Tensor, before_S: Tensor, base_S: Tensor | None, advantage_S: Tensor, *, rule: PolicyRule
) -> TokenLosses:
    """What each token costs: less for a likelier token of a good answer, up to where the ratio is clipped.

    Shapes: log-probabilities (S,) under the policy, under that which drew (without a gradient) and under the base (None
    without a weight on the divergence); advantages (S,), those of the answers.
    """
    ratio_S = torch.exp(policy_S - before_S)
    held_S = ratio_S.clamp(1 - rule.clip_ratio, 1 + rule.clip_ratio)
    losses_S = -torch.minimum(ratio_S * advantage_S, held_S * advantage_S)
    clipped_S = (ratio_S.detach() * advantage_S > held_S.detach() * advantage_S).float()
    if base_S is None:
        return TokenLosses(losses_S, torch.zeros_like(losses_S), clipped_S)
    # Never negative, and right on average: Schulman 2020, "Approximating KL divergence", k3. Times the ratio, its
    # gradient is right on average as well: DeepSeek-AI 2025, arXiv 2512.02556.
    divergence_S = torch.exp(base_S - policy_S) - (base_S - policy_S) - 1
    return TokenLosses(losses_S + rule.kl_weight * ratio_S * divergence_S, divergence_S, clipped_S)


def answer_means(values_S: Tensor, part: Part) -> Tensor:
    """The mean over the tokens of each answer: long answers count as much as short ones. Shape (A,)."""
    sums_A = values_S.new_zeros(len(part.sizes_A)).index_add(0, part.answer_S, values_S)
    return sums_A / part.sizes_A
