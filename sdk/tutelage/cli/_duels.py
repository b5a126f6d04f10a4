"""How a duel is followed and shown to a person."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tutelage._names import short_name, spoken_name
from tutelage.cli._commands import JOB_FAILED
from tutelage.cli._estimates import bar, between, percent
from tutelage.cli._output import age, print_one, say

if TYPE_CHECKING:
    import tutelage

COLUMNS = ("DUEL", "CHAMPION", "CHALLENGER", "JUDGE", "VERDICT", "WIN RATE", "PAIRS", "BEGUN")
ERROR_RATE = 0.05
WORDS = {
    "BETTER": "is better than",
    "WORSE": "is worse than",
    "NO_DIFFERENCE": "shows no difference from",
    "UNDECIDED": "is not yet told apart from",
    "FAILED": "could not be compared with",
}


def follow(client: "tutelage.Client", duel: "tutelage.Duel", *, limit_s: float | None, output: str) -> None:
    """Waits for the verdict, telling a person how far it is, and prints the duel."""
    name = short_name(duel.name)
    if output == "table" and duel.review:
        say(f"people decide; reviewers type:  tutelage review start {short_name(duel.review)}")
    try:
        decided = client.duels.wait(duel, timeout=limit_s, on_change=tell if output == "table" else None)
    except KeyboardInterrupt:
        say(f"\nthe duel goes on; come back with:  tutelage duel show {name} --wait")
        raise
    print_duel(decided, output=output)
    if decided.result is not None and decided.result.verdict == "FAILED":
        if output == "table" and duel.job:
            say(f"\nwhy:  tutelage jobs explain {short_name(duel.job)}")
        sys.exit(JOB_FAILED)


def tell(duel: "tutelage.Duel") -> None:
    """Says how far a duel is."""
    result = duel.result
    if result is None:
        return
    judged = result.wins + result.losses + result.ties
    missing = f", about {result.pairs_missing:,} more to decide" if result.pairs_missing is not None else ""
    say(f"{judged:,} of {result.pairs:,} pairs judged: {counts(result)}{missing}")


def counts(result: "tutelage.DuelResult") -> str:
    """Returns won, lost and tied pairs."""
    return f"{result.wins:,} won, {result.losses:,} lost, {result.ties:,} ties"


def print_duel(duel: "tutelage.Duel", *, output: str) -> None:
    """Prints a duel in the chosen format."""
    print_one(duel, output=output, details=duel_details)


def duel_details(duel: "tutelage.Duel") -> Mapping[str, str]:
    """Returns the verdict with its confidence, and what it rests on."""
    result = duel.result
    if result is None:
        return {"duel": short_name(duel.name), **sides(duel)}
    error_rate = duel.error_rate or ERROR_RATE
    interval = between(result.win_rate_low, result.win_rate_high)
    rate = f"{bar(result.win_rate)} {percent(result.win_rate)}" if result.win_rate is not None else ""
    return {
        "duel": short_name(duel.name),
        "verdict": verdict_of(duel),
        "confidence": f"{percent(1 - error_rate)}, however often one looks",
        "win rate": rate + (f", truly {interval}" if interval else "") if rate else "",
        "pairs": f"{counts(result)}, of {result.pairs:,}",
        "evidence": f"{result.evidence:.3g} against equality; {1 / error_rate:g} decides",
        "still missing": f"about {result.pairs_missing:,} decided pairs" if result.pairs_missing is not None else "",
        "mean scores": scores_of(result),
        **sides(duel),
    }


def verdict_of(duel: "tutelage.Duel") -> str:
    """Returns the verdict in words."""
    result = duel.result
    if result is None:
        return ""
    said = WORDS.get(result.verdict, "")
    sentence = f"{spoken_name(duel.challenger)} {said} {spoken_name(duel.champion)}" if said else ""
    return result.summary or sentence


def scores_of(result: "tutelage.DuelResult") -> str:
    """Returns the mean scores of both sides, if a program judged."""
    if result.champion_score is None or result.challenger_score is None:
        return ""
    return f"champion {result.champion_score:.3f}, challenger {result.challenger_score:.3f}"


def sides(duel: "tutelage.Duel") -> Mapping[str, str]:
    """Returns who meets whom, over what, and who judges."""
    return {
        "champion": spoken_name(duel.champion),
        "challenger": spoken_name(duel.challenger),
        "prompts": short_name(duel.prompts),
        "judge": judge_words(duel),
        "job": short_name(duel.job),
        "review": short_name(duel.review),
    }


def judge_words(duel: "tutelage.Duel") -> str:
    """Returns who judges."""
    if duel.judge == "CHECKER" and duel.checker is not None:
        return f"checker {duel.checker.name}" + (f"={duel.checker.argument}" if duel.checker.argument else "")
    if duel.judge == "REWARD_MODEL":
        return f"reward model {spoken_name(duel.reward_model)}"
    return "reviewers"


def duel_row(duel: "tutelage.Duel") -> Sequence[str]:
    """Returns the cells of a list."""
    result = duel.result
    return (
        short_name(duel.name),
        spoken_name(duel.champion),
        spoken_name(duel.challenger),
        judge_words(duel),
        result.verdict.lower().replace("_", " ") if result else "",
        percent(result.win_rate) if result else "",
        f"{result.wins + result.losses + result.ties:,} of {result.pairs:,}" if result else "",
        age(duel.create_time),
    )
