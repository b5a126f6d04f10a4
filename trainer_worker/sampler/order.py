"""What a caller ordered: a SampleRequest read, checked and completed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from trainer_worker.sampler.errors import InvalidRequest, Violation
from trainer_worker.trainer.engine.generate import DrawRule
from tutelage.v1 import sampling_pb2

Number = TypeVar("Number", int, float)

PROMPT_CHARACTERS_MAX = 100_000
TOKENS_MAX = 4096
TEMPERATURE_MAX = 10.0
TOP_K_MAX = 2**31 - 1
STOPS_MAX = 8
STOP_CHARACTERS_MAX = 100
SAMPLES_MAX = 16
ALTERNATIVES_MAX = 20
# One token or alternative is about 20 bytes on the wire (id, bytes, double), 40 with a long token: 100,000 of them stay
# below the 4 MiB that a message may have.
UNARY_CELLS_MAX = 100_000


@dataclass(frozen=True)
class Order:
    """What to draw; every default is filled in. `alternatives` is None if no log-probabilities were asked for."""

    prompt: str
    tokens_max: int
    rule: DrawRule
    seeds: tuple[int, ...]
    stops: tuple[bytes, ...]
    alternatives: int | None


def read_order(request: sampling_pb2.SampleRequest) -> Order:
    """The order in a request. Raises: InvalidRequest, naming every wrong field."""
    violations = [*_unknown_fields(request), *_wrong_numbers(request), *_wrong_texts(request)]
    if violations:
        raise InvalidRequest(*violations)
    seed = request.seed if request.HasField("seed") else secrets.randbits(32)
    samples = _given(request, "samples", 1)
    return Order(
        prompt=request.prompt,
        tokens_max=_given(request, "max_tokens", 100),
        rule=DrawRule(
            temperature=_given(request, "temperature", 0.8),
            top_k=_given(request, "top_k", 0),
            top_p=_given(request, "top_p", 1.0),
        ),
        seeds=tuple((seed + index) % 2**32 for index in range(samples)),
        stops=tuple(stop.encode() for stop in request.stop),
        alternatives=request.logprobs if request.HasField("logprobs") else None,
    )


def refuse_answers_too_large(order: Order) -> None:
    """Refuses an order whose whole answer would not fit into one message; a stream has no such limit."""
    cells = len(order.seeds) * order.tokens_max * (1 + (order.alternatives or 0))
    if cells > UNARY_CELLS_MAX:
        limit = f"samples × max_tokens × (1 + logprobs) is {cells}, at most {UNARY_CELLS_MAX} fit into one answer"
        raise InvalidRequest(Violation("logprobs", f"{limit}; use StreamSample for more"))


def _unknown_fields(request: sampling_pb2.SampleRequest) -> list[Violation]:
    unknown = UnknownFieldSet(request)
    numbers = sorted({unknown[index].field_number for index in range(len(unknown))})
    return [Violation(f"#{number}", "this service knows no field of this number") for number in numbers]


def _wrong_numbers(request: Message) -> list[Violation]:
    bounds: list[tuple[str, float, float]] = [
        ("max_tokens", 1, TOKENS_MAX),
        ("temperature", 0, TEMPERATURE_MAX),
        ("top_k", 0, TOP_K_MAX),
        ("samples", 1, SAMPLES_MAX),
        ("logprobs", 0, ALTERNATIVES_MAX),
    ]
    violations = [
        Violation(name, f"is {getattr(request, name)}; must be from {least} to {most}")
        for name, least, most in bounds
        if request.HasField(name) and not least <= getattr(request, name) <= most  # NaN fails every comparison
    ]
    if not 0 < (top_p := _given(request, "top_p", 1.0)) <= 1:
        violations.append(Violation("top_p", f"is {top_p}; must be above 0 and at most 1"))
    return violations


def _wrong_texts(request: sampling_pb2.SampleRequest) -> list[Violation]:
    violations = []
    if len(request.prompt) > PROMPT_CHARACTERS_MAX:
        excess = f"has {len(request.prompt)} characters; at most {PROMPT_CHARACTERS_MAX} are read"
        violations.append(Violation("prompt", excess))
    if len(request.stop) > STOPS_MAX:
        violations.append(Violation("stop", f"has {len(request.stop)} texts; at most {STOPS_MAX} are watched for"))
    for index, stop in enumerate(request.stop[:STOPS_MAX]):
        if not 1 <= len(stop) <= STOP_CHARACTERS_MAX:
            length = f"has {len(stop)} characters; must have from 1 to {STOP_CHARACTERS_MAX}"
            violations.append(Violation(f"stop[{index}]", length))
    return violations


def _given(request: Message, field: str, default: Number) -> Number:
    value: Number = getattr(request, field) if request.HasField(field) else default
    return value
