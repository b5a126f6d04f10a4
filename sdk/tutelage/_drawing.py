"""What is drawn for a review, a duel or a job: models, prompts and how, as callers write them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from tutelage._errors import local_refusal
from tutelage._names import model_name

Models = str | Any | Sequence[str | Any]


class DrawingOptions(TypedDict, total=False):
    """How answers are drawn, all optional.

    max_tokens: most tokens of an answer; 1 to 4096, default 100.
    temperature: 0 takes the likeliest token, 1 draws from the model's own distribution; 0 to 10, default 0.8.
    top_k: draw from the k likeliest tokens only; 0 means all. Default 0.
    top_p: draw from the likeliest tokens that together have this probability; above 0, at most 1. Default 1.
    seed: seed of the first answer to the first prompt; every answer has its own. Default: chosen, and shown.
    stop: stop before any of these texts; at most 8, each of at most 100 characters.
    """

    max_tokens: int
    temperature: float
    top_k: int
    top_p: float
    seed: int
    stop: Sequence[str]


def set_drawing(message: Any, options: Mapping[str, Any]) -> None:
    """Sets what was given of the options of a specification or a duel; what is None counts as not given.

    Raises: InvalidArgument for an option that does not exist or whose value does not fit its type.
    """
    for name, value in options.items():
        if name not in DrawingOptions.__annotations__:
            raise local_refusal(name, "there is no such option")
        if value is None or (name == "stop" and not value):
            continue
        try:
            if name == "stop":
                message.options.stop.extend([value] if isinstance(value, str) else value)
            else:
                setattr(message.options, name, value)
        except (TypeError, ValueError) as error:
            raise local_refusal(name, f"{value!r} is not usable: {error}") from error


def set_checker(message: Any, checker: str | Any | None) -> None:
    """Sets a checker that is written as `python-parses`, or with an argument as `contains=def`."""
    if not checker:
        return
    if not isinstance(checker, str):
        message.checker.name, message.checker.argument = checker.name, checker.argument
        return
    name, _, argument = checker.partition("=")
    message.checker.name, message.checker.argument = name, argument


def model_names(models: Models) -> list[str]:
    """Returns the full names of one model or of several. Raises: InvalidArgument without any."""
    given = [models] if isinstance(models, str) or not isinstance(models, Sequence) else list(models)
    if not given:
        raise local_refusal("models", "names no model")
    return [model_name(str(getattr(model, "name", model))) for model in given]


def build_draw_spec(
    models: Models,
    prompts: str,
    *,
    samples: int | None,
    prompts_max: int | None,
    checker: str | Any | None,
    reward_model: str,
    options: Mapping[str, Any],
) -> Any:
    """Returns a DrawSpec with exactly what was given; `prompts` is the full name of a dataset."""
    from tutelage.v1 import training_pb2

    spec = training_pb2.DrawSpec(models=model_names(models), prompts=prompts, samples=samples, prompts_max=prompts_max)
    set_checker(spec, checker)
    if reward_model:
        spec.reward_model = model_name(reward_model)
    set_drawing(spec, options)
    return spec


def samples_for(models: Models, *, pairs: int | None, samples: int | None) -> int | None:
    """Returns how many answers of each model `pairs` pairs of each prompt take.

    Of one model a pair takes two answers; of several, one of each. Raises: InvalidArgument if both are given.
    """
    if pairs is None:
        return samples
    if samples is not None:
        raise local_refusal("pairs", "pairs and samples exclude each other: so many pairs take their own samples")
    return pairs if len(model_names(models)) > 1 else 2 * pairs
