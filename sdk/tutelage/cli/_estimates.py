"""Shares and estimates, drawn and in words."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tutelage

BAR_COLUMNS = 30
# Krippendorff, Content Analysis (2004): from 0.8 on conclusions are safe, from 0.667 on tentative.
SAFE, TENTATIVE = 0.8, 0.667
# A share of choices whose interval holds one half shows no bias.
FAIR = 0.5


def bar(share: float | None, *, columns: int = BAR_COLUMNS) -> str:
    """Returns a share from 0 to 1 as a bar, in eighths of a column."""
    if share is None:
        return ""
    eighths = round(min(max(share, 0.0), 1.0) * columns * 8)
    whole, rest = divmod(eighths, 8)
    drawn = "█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    return drawn.ljust(columns, "·")


def percent(share: float | None) -> str:
    """Returns a share in percent; nothing for none."""
    return "" if share is None else f"{100 * share:.1f} %"


def between(low: float | None, high: float | None) -> str:
    """Returns an interval of shares in words; nothing if it is not known."""
    return "" if low is None or high is None else f"between {percent(low)} and {percent(high)}"


def share_in_words(estimate: "tutelage.Estimate | None") -> str:
    """Returns an estimated share with its interval."""
    if estimate is None:
        return ""
    interval = between(estimate.low, estimate.high)
    return percent(estimate.value) + (f", with 95 % confidence {interval}" if interval else "")


def agreement_in_words(alpha: "tutelage.Estimate | None") -> str:
    """Returns Krippendorff's alpha with its interval, and what it allows."""
    if alpha is None:
        return "not known: no item has two votes yet"
    interval = f" ({alpha.low:.2f} to {alpha.high:.2f})" if alpha.low is not None and alpha.high is not None else ""
    if alpha.value >= SAFE:
        meaning = "reviewers agree well"
    elif alpha.value >= TENTATIVE:
        meaning = "reviewers agree enough for tentative conclusions"
    elif alpha.value > 0:
        meaning = "reviewers agree little: are the guidelines clear?"
    else:
        meaning = "reviewers agree no more than chance would"
    return f"{alpha.value:.2f}{interval}: {meaning}"


def bias_in_words(estimate: "tutelage.Estimate | None", what: str) -> str:
    """Returns the share of choices that fell on one side, and whether that is a bias."""
    if estimate is None:
        return ""
    text = f"{percent(estimate.value)} of choices fell on {what}"
    if estimate.low is None or estimate.high is None:
        return text
    text += f" ({percent(estimate.low)} to {percent(estimate.high)})"
    return f"{text}: {'no bias to be seen' if estimate.low <= FAIR <= estimate.high else 'a bias'}"
