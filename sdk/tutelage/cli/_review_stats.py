"""What the votes of a review say, drawn for a person."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tutelage._names import short_name, spoken_name
from tutelage.cli._estimates import agreement_in_words, bar, between, bias_in_words, percent
from tutelage.cli._output import print_details, print_json, print_json_line, print_table, say, show

if TYPE_CHECKING:
    import tutelage


def print_stats(stats: "tutelage.ReviewStats", *, review: str, output: str) -> None:
    """Prints the statistics of a review in the chosen format."""
    if output == "json":
        print_json(stats.to_dict())
    elif output == "jsonl":
        print_json_line(stats.to_dict())
    elif output == "name":
        for version in stats.versions:
            show(version.model_version)
    else:
        print_summary(stats)
        print_versions(stats.versions)
        print_reviewers(stats.reviewers)
        if stats.progress is not None and not stats.progress.votes:
            say(f"\nthere are no votes yet; reviewers type:  tutelage review start {short_name(review)}")


def print_summary(stats: "tutelage.ReviewStats") -> None:
    """Prints progress, agreement and bias."""
    p = stats.progress
    share = p.votes / (p.votes + p.votes_wanted) if p and p.votes + p.votes_wanted else None
    print_details(
        {
            "progress": f"{bar(share)} {p.votes:,} of {p.votes + p.votes_wanted:,} votes" if p else "",
            "items": f"{p.items_done:,} of {p.items:,} have all their votes" if p else "",
            "agreement": f"Krippendorff's α {agreement_in_words(stats.krippendorff_alpha)}",
            "kappa": "" if stats.cohen_kappa is None else f"Cohen's κ {stats.cohen_kappa:.2f}, of two reviewers",
            "same votes": f"{percent(stats.raw_agreement)} of pairs" if stats.raw_agreement is not None else "",
            "gold items": f"{percent(stats.gold_accuracy)} answered rightly" if stats.gold_accuracy is not None else "",
            "position": bias_in_words(stats.first_share, "the first answer shown"),
            "length": bias_in_words(stats.longer_share, "the longer answer"),
        }
    )


def print_versions(versions: "Sequence[tutelage.VersionScore]") -> None:
    """Prints how often each version was preferred, strongest first."""
    if not any(version.comparisons for version in versions):
        return
    show("")
    rows = [
        (
            spoken_name(version.model_version),
            bar(version.win_rate.value if version.win_rate else None),
            percent(version.win_rate.value) if version.win_rate else "",
            between(version.win_rate.low, version.win_rate.high) if version.win_rate else "",
            f"{version.wins:g} of {version.comparisons:,}",
            strength_of(version.strength),
        )
        for version in versions
    ]
    print_table(("VERSION", "PREFERRED", "SHARE", "WITH 95 % CONFIDENCE", "WON", "STRENGTH"), rows)


def strength_of(strength: "tutelage.Estimate | None") -> str:
    """Returns the strength after Bradley and Terry, in logarithms of odds."""
    if strength is None:
        return ""
    interval = (
        "" if strength.low is None or strength.high is None else f" ({strength.low:+.2f} to {strength.high:+.2f})"
    )
    return f"{strength.value:+.2f}{interval}"


def print_reviewers(reviewers: "Sequence[tutelage.ReviewerStats]") -> None:
    """Prints how each reviewer votes, most votes first."""
    if not reviewers:
        return
    show("")
    rows = [
        (
            short_name(each.reviewer),
            f"{each.votes:,}",
            percent(each.gold_accuracy) + (f" of {each.gold_votes}" if each.gold_votes else ""),
            percent(each.self_agreement),
            percent(each.first_share),
            percent(each.longer_share),
            f"{each.seconds_median:.1f} s" if each.seconds_median is not None else "",
        )
        for each in reviewers
    ]
    print_table(("REVIEWER", "VOTES", "GOLD RIGHT", "AS BEFORE", "FIRST", "LONGER", "MEDIAN TIME"), rows)
