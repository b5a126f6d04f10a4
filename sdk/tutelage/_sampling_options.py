"""How to draw: the options of every method that samples."""

from collections.abc import Sequence
from typing import Any, TypedDict

from tutelage._errors import local_refusal
from tutelage._names import model_name


class SamplingOptions(TypedDict, total=False):
    """What `sample` and `stream` take beside model and prompt, all optional.

    max_tokens: most tokens to draw for each sample; 1 to 4096, default 100.
    temperature: 0 takes the likeliest token, 1 draws from the model's own distribution; 0 to 10, default 0.8.
    top_k: draw from the k likeliest tokens only; 0 means all. Default 0.
    top_p: draw from the likeliest tokens that together have this probability; above 0, at most 1. Default 1.
    seed: the same seed draws the same text. Default: chosen by the service, and shown in the answer.
    stop: stop before any of these texts; at most 8, each of at most 100 characters.
    samples: how many to draw, with seeds seed, seed + 1 and so on; 1 to 16, default 1.
    logprobs: return log-probabilities in nats, with this many alternatives to each token; 0 to 20.
    """

    max_tokens: int
    temperature: float
    top_k: int
    top_p: float
    seed: int
    stop: Sequence[str]
    samples: int
    logprobs: int


def build_sample_request(model: str, prompt: str, *, options: SamplingOptions) -> Any:
    """Returns a SampleRequest with exactly what was given; what is None counts as not given.

    Raises: InvalidArgument for an option that does not exist or whose value does not fit its type.
    """
    from tutelage.v1 import sampling_pb2

    request = sampling_pb2.SampleRequest(model=model_name(model), prompt=prompt)
    for name, value in options.items():
        if name not in SamplingOptions.__annotations__:
            raise local_refusal(name, "there is no such option")
        if value is not None:
            set_option(request, name, value)
    return request


def set_option(request: Any, name: str, value: Any) -> None:
    """Sets one option."""
    try:
        if name == "stop":
            request.stop.extend([value] if isinstance(value, str) else value)
        else:
            setattr(request, name, value)
    except (TypeError, ValueError) as error:
        raise local_refusal(name, f"{value!r} is not usable: {error}") from error
