"""A test of two versions that may be looked at after every vote, and stopped at any time.

Under equality a decided pair is won with chance one half. The evidence against a chance p is the probability of what
was seen, averaged over all chances alike, divided by its probability under p: a bet against p whose expected gain is
nothing if p is true. By Ville's inequality such a bet ever reaches 1 / error_rate with at most that error rate, however
often one looks; so the chances against which the evidence is below it form an interval that is right at all times.

Source: Robbins 1970, Annals of Mathematical Statistics 41, 1397-1409, section 3, for the uniform mixture of binomial
likelihoods; Ville 1939 for the inequality. Ties are no bets, and are left out.
"""

import math

_HALVINGS = 60  # of an interval of chances: to the last digit of a double
PAIRS_SAID_MAX = 1_000_000  # beyond this, nobody would wait


def evidence(wins: int, losses: int, *, chance: float = 0.5) -> float:
    """Return how strongly what was seen speaks against this chance of winning: 1 says nothing, above 1 speaks against.

    At most about 1e308.
    """
    return math.exp(min(log_evidence(wins, losses, chance=chance), 709.0))


def log_evidence(wins: float, losses: float, *, chance: float = 0.5) -> float:
    """Return the natural logarithm of the evidence."""
    mixture = math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(wins + losses + 2)
    return mixture - _times_log(wins, chance) - _times_log(losses, 1 - chance)


def is_decided(wins: int, losses: int, *, error_rate: float) -> bool:
    """Whether the two are different, wrongly so with at most this chance."""
    return log_evidence(wins, losses) >= -math.log(error_rate)


def confidence_sequence(wins: int, losses: int, *, error_rate: float) -> tuple[float, float]:
    """Return the interval that holds the true chance of winning at all times, but for this error rate.

    It begins as (0, 1), and leaves out one half exactly when the test is decided.
    """
    count = wins + losses
    if not count:
        return 0.0, 1.0
    seen = wins / count
    low = 0.0 if not wins else _edge(wins, losses, inside=seen, outside=0.0, error_rate=error_rate)
    high = 1.0 if not losses else _edge(wins, losses, inside=seen, outside=1.0, error_rate=error_rate)
    return low, high


def pairs_missing(wins: int, losses: int, *, error_rate: float) -> int | None:
    """Return about how many more decided pairs it takes, if they go on like those that were seen.

    0 if it is decided; None without a decided pair, and if it would take more than a million.
    """
    count = wins + losses
    if not count:
        return None

    def decided_after(more: int) -> bool:
        grown = 1 + more / count
        return log_evidence(wins * grown, losses * grown) >= -math.log(error_rate)

    if decided_after(0):
        return 0
    most = 1
    while not decided_after(most):
        most *= 2
        if most > PAIRS_SAID_MAX:
            return None
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if decided_after(middle) else (middle, most)
    return most


def _edge(wins: int, losses: int, *, inside: float, outside: float, error_rate: float) -> float:
    """Return where the evidence reaches 1 / error_rate, on the way from the share seen to one end."""
    most = -math.log(error_rate)
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if log_evidence(wins, losses, chance=middle) < most:
            inside = middle
        else:
            outside = middle
    return outside


def _times_log(count: float, chance: float) -> float:
    """Return count times the logarithm of a chance; 0 for no count, whatever the chance."""
    if not count:
        return 0.0
    return count * math.log(chance) if chance > 0 else -math.inf
