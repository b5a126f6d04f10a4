"""How a job is shown to a person."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tutelage._names import short_name
from tutelage.cli._output import (
    age,
    clean,
    count,
    duration,
    loss,
    moment,
    print_details,
    print_json,
    print_json_line,
    say,
    show,
    size,
)
from tutelage.cli._specs import spec_details

if TYPE_CHECKING:
    import tutelage

COLUMNS = ("JOB", "KIND", "STATE", "PROGRESS", "LOSS", "VALIDATION", "MODEL", "SUBMITTED", "TOOK")


def job_row(info: "tutelage.JobInfo") -> Sequence[str]:
    """Returns the cells of a list."""
    progress = learning_progress(info)
    return (
        short_name(info.name),
        kind_of(info),
        f"{info.state} (pausing)" if info.pausing else info.state,
        f"{progress.step:,} of {progress.steps_total:,}" if progress else "",
        loss(progress.loss if progress else None),
        loss(progress.validation_loss if progress else None),
        short_name(info.model),
        age(info.create_time),
        took(info),
    )


def learning_progress(info: "tutelage.JobInfo") -> "tutelage.JobProgress | None":
    """Returns how far a job has learnt or drawn; an import, an export or a verification has no steps of its own."""
    return info.progress if info.kind in ("train", "fine_tune", "draw", "evaluate") else None


def took(info: "tutelage.JobInfo") -> str:
    """Returns how long a job that is over took, from its start."""
    if info.start_time is None or info.end_time is None:
        return ""
    return duration((info.end_time - info.start_time).total_seconds())


def job_details(info: "tutelage.JobInfo") -> Mapping[str, str]:
    """Returns what a person wants to know about one job."""
    progress, failure = learning_progress(info), info.failure
    return {
        "job": short_name(info.name),
        "kind": kind_of(info),
        "state": f"{info.state} (pausing)" if info.pausing else info.state,
        "failure": f"{failure.reason}: {failure.message}" if failure else "",
        "what would help": failure.help if failure else "",
        "progress": describe_progress(progress) if progress else "",
        "model": short_name(info.model),
        **spec_details(info),
        "labels": ", ".join(f"{key}={value}" for key, value in info.labels.items()),
        "worker": short_name(info.worker),
        "attempts": str(info.attempts or ""),
        "submitted": f"{moment(info.create_time)} by {short_name(info.creator)}" if info.create_time else "",
        "started": moment(info.start_time),
        "ended": moment(info.end_time),
        "took": took(info),
        **usage_details(info),
    }


def kind_of(info: "tutelage.JobInfo") -> str:
    """Returns the kind of a job as its command is called: train, fine-tune, import, export, verify."""
    return info.kind.removesuffix("_model").replace("_", "-")


def usage_details(info: "tutelage.JobInfo") -> Mapping[str, str]:
    """Returns what a job has taken, beside what was foretold."""
    usage, forecast = info.usage, info.forecast
    if usage is None:
        return {}
    foretold_s = forecast.duration_seconds if forecast else None
    foretold_bytes = forecast.memory_bytes if forecast else 0
    memory, seconds = usage.peak_memory_bytes, usage.training_seconds
    return {
        "training time": beside(duration(seconds), duration(foretold_s)) if seconds else "",
        "peak memory": beside(size(memory), size(foretold_bytes) if foretold_bytes else "") if memory else "",
    }


def beside(taken: str, foretold: str) -> str:
    """Returns what was taken, with what was foretold."""
    return f"{taken} ({foretold} foretold)" if foretold else taken


def describe_progress(progress: "tutelage.JobProgress") -> str:
    """Returns how far a job has come."""
    parts = [f"step {progress.step:,} of {progress.steps_total:,}"]
    if progress.loss is not None:
        parts.append(f"loss {loss(progress.loss)}")
    if progress.validation_loss is not None:
        parts.append(f"validation loss {loss(progress.validation_loss)}")
    if progress.tokens_per_second:
        parts.append(f"{count(progress.tokens_per_second)} tokens/s")
    if progress.remaining_seconds:
        parts.append(f"{duration(progress.remaining_seconds)} left")
    return ", ".join(parts)


def print_explanation(answer: "tutelage.ExplainJobResponse", *, output: str) -> None:
    """Prints why a job is where it is."""
    if output == "json":
        print_json(answer.to_dict())
    elif output == "jsonl":
        print_json_line(answer.to_dict())
    else:
        show(answer.summary)
        for finding in answer.findings:
            show(f"• {finding.fact}")
            if finding.help:
                show(f"  → {finding.help}")
        if answer.queue_position:
            starts = f", starts in about {duration(answer.start_seconds)}" if answer.start_seconds else ""
            show(f"jobs before it: {answer.queue_position}{starts}")


def print_metrics(series: "Mapping[str, tutelage.MetricSeries]", *, output: str) -> None:
    """Prints curves: drawn for a person, as numbers for a script."""
    if output == "json":
        print_json([curve.to_dict() for curve in series.values()])
    elif output == "jsonl":
        for curve in series.values():
            print_json_line(curve.to_dict())
    elif output == "name":
        for key in series:
            show(key)
    elif not series:
        say("there are no such metrics yet; `-o name` lists the keys there are")
    else:
        from tutelage.cli._curve import draw

        points = {key: list(zip(curve.steps, curve.means, strict=True)) for key, curve in series.items()}
        show(draw(points, width=100, height=18))
        print_details({clean(key): f"last {curve.means[-1]:.6g}" for key, curve in series.items() if curve.means})
