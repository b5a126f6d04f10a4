"""What a job would take, for a person to decide whether to start it."""

from typing import TYPE_CHECKING

from tutelage._names import short_name
from tutelage.cli._output import count, duration, print_details, print_json, print_json_line, say, size
from tutelage.cli._specs import spec_details

if TYPE_CHECKING:
    import tutelage


def print_forecast(info: "tutelage.JobInfo", *, output: str) -> None:
    """Prints the job as it would be accepted, with its forecast."""
    if output == "json":
        print_json(info.to_dict())
    elif output == "jsonl":
        print_json_line(info.to_dict())
    else:
        told = {**spec_details(info), "model": short_name(info.model)}
        print_details({**told, **(forecast_details(info.forecast) if info.forecast else {})})
        for warning in info.forecast.warnings if info.forecast else ():
            say(f"warning: {warning}")
        say("nothing was started: this is a dry run")


def forecast_details(forecast: "tutelage.Forecast") -> dict[str, str]:
    """Returns the estimates in words."""
    return {
        "parameters": count(forecast.parameters),
        "operations": f"{count(forecast.flops)} floating-point operations",
        "tokens": f"{forecast.tokens:,}, {forecast.epochs:.2f} times through the training part",
        "memory": size(forecast.memory_bytes),
        "checkpoint": size(forecast.checkpoint_bytes),
        "training time": training_time(forecast),
        "queue": waiting_time(forecast.queue_seconds),
        "rests on": forecast.basis,
    }


def waiting_time(seconds: float | None) -> str:
    """Returns the expected time in the queue."""
    if seconds is None:
        return "unknown"
    return "starts at once" if seconds < 1 else f"about {duration(seconds)}"


def training_time(forecast: "tutelage.Forecast") -> str:
    """Returns the expected time with its band."""
    if forecast.duration_seconds is None:
        return "unknown: this cluster has run nothing to compare with"
    low, high = forecast.duration_low_seconds, forecast.duration_high_seconds
    band = "" if low is None or high is None else f" (half of such runs: {duration(low)} to {duration(high)})"
    return f"about {duration(forecast.duration_seconds)}{band}"
