"""What it costs to have answers the wrong way round: the losses of methods that learn from preferences.

Every loss is one number a row, in nats unless it says otherwise, and depends on that row alone.

    P rows   2 a pair: chosen, rejected
"""

import torch
from torch import Tensor
from torch.nn import functional

ALMOST_CERTAIN = -1e-6  # nats a token: the log-odds of a certain answer would be no number


def dpo_loss(policy_P2: Tensor, reference_P2: Tensor, *, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """Direct preference optimization: how unlikely the choice is if rewards are log-ratios to the reference.

    Shapes: both (P, 2) float32, summed log-probabilities of answers, in nats. Returns (P,).
    Sources: Rafailov et al. 2023, arXiv 2305.18290, eq. 7; with a share of pairs the wrong way round: Chowdhury et al.
    2024, arXiv 2403.00409, eq. 11 before it is made unbiased (Mitchell 2023, "A note on DPO with noisy preferences").
    """
    ratios_P2 = policy_P2 - reference_P2
    margin_P = beta * (ratios_P2[:, 0] - ratios_P2[:, 1])
    right_P, wrong_P = functional.logsigmoid(margin_P), functional.logsigmoid(-margin_P)
    return -(1 - label_smoothing) * right_P - label_smoothing * wrong_P


def ipo_loss(policy_P2: Tensor, reference_P2: Tensor, sizes_P2: Tensor, *, beta: float) -> Tensor:
    """Identity preference optimization: how far the margin is from 1 / (2 beta), squared.

    Log-ratios are means over tokens, as the authors computed them: a sum would grow with the length of the answer.
    Shapes: log-probabilities as in `dpo_loss`; sizes (P, 2), tokens of each answer. Returns (P,), in nats squared.
    Source: Azar et al. 2023, arXiv 2310.12036, eq. 17.
    """
    ratios_P2 = (policy_P2 - reference_P2) / sizes_P2
    return (ratios_P2[:, 0] - ratios_P2[:, 1] - 1 / (2 * beta)).square()


def simpo_loss(policy_P2: Tensor, sizes_P2: Tensor, *, beta: float, margin: float) -> Tensor:
    """Simple preference optimization: rewards are mean log-probabilities, and the chosen one is to win by `margin`.

    Shapes: as in `ipo_loss`. Returns (P,). Source: Meng et al. 2024, arXiv 2405.14734, eq. 6.
    """
    rewards_P2 = beta * policy_P2 / sizes_P2
    return -functional.logsigmoid(rewards_P2[:, 0] - rewards_P2[:, 1] - margin)


def orpo_loss(policy_P2: Tensor, sizes_P2: Tensor, *, beta: float) -> Tensor:
    """Odds ratio preference optimization: the chosen answer is learnt, and its odds are to exceed those of the other.

    Shapes: as in `ipo_loss`. Returns (P,). Source: Hong et al. 2024, arXiv 2403.07691, eq. 6 and 7, with the mean
    log-probability of eq. 1 as log P, and `beta` for their lambda.
    """
    means_P2 = policy_P2 / sizes_P2
    return -means_P2[:, 0] + beta * odds_ratio_loss(means_P2)


def odds_ratio_loss(means_P2: Tensor) -> Tensor:
    """The second part of `orpo_loss`. Shapes: mean log-probabilities (P, 2). Returns (P,)."""
    odds_P2 = means_P2 - torch.log(-torch.expm1(means_P2.clamp(max=ALMOST_CERTAIN)))
    return -functional.logsigmoid(odds_P2[:, 0] - odds_P2[:, 1])


def chosen_loss(policy_P2: Tensor, sizes_P2: Tensor) -> Tensor:
    """How unlikely the chosen answer is, in nats a token. Shapes: as in `ipo_loss`. Returns (P,).

    Source: Pang et al. 2024, arXiv 2404.19733, eq. 1, the second term.
    """
    return -policy_P2[:, 0] / sizes_P2[:, 0]


def kto_loss(
    policy_P: Tensor,
    reference_P: Tensor,
    good_P: Tensor,
    divergence: Tensor,
    *,
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Tensor:
    """Kahneman-Tversky optimization: what an answer is worth beside what answers are worth on the whole.

    Shapes: log-probabilities (P,) float32 as in `dpo_loss`; good (P,) bool; the divergence a scalar in nats, which is
    not learnt through: `divergence_of`. Returns (P,), from 0 to the weight.
    Source: Ethayarajh et al. 2024, arXiv 2402.01306, eq. 8.
    """
    margin_P = beta * (policy_P - reference_P - divergence)
    losses_P = 1 - torch.sigmoid(torch.where(good_P, margin_P, -margin_P))
    return losses_P * torch.where(good_P, desirable_weight, undesirable_weight)


def divergence_of(policy_P: Tensor, reference_P: Tensor) -> Tensor:
    """How far the policy is from the reference, estimated by answers to other prompts; never below 0. A scalar, nats.

    Source: Ethayarajh et al. 2024, arXiv 2402.01306, section 4.1, z0.
    """
    return (policy_P - reference_P).mean().clamp(min=0).detach()


def reward_loss(scores_P2: Tensor) -> Tensor:
    """How unlikely the choice is if the odds of an answer are the exponential of its score.

    Shapes: (P, 2) float32. Returns (P,). Sources: Bradley and Terry 1952; Ouyang et al. 2022, arXiv 2203.02155, eq. 1.
    """
    return -functional.logsigmoid(scores_P2[:, 0] - scores_P2[:, 1])
