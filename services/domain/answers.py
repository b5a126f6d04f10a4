"""What models answered to prompts: the words that drawing, reviews, duels and feedback share."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChatMessage:
    """One turn of a conversation."""

    role: str
    content: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
    """What was answered: a text to continue, or a conversation whose next turn is the answer; never both."""

    text: str = ""
    messages: tuple[ChatMessage, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """An answer. `logprob` is in nats; `model_version` is empty where nobody knows what wrote it."""

    text: str
    model_version: str = ""
    seed: int | None = None
    tokens: int = 0
    logprob: float | None = None
    score: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswersDrawn:
    """All answers to one prompt of a job that draws: those of the first model, then those of the second, and so on.

    `prompt_number` counts from 1 in the order of the dataset. Told again by a later attempt, they are the same.
    """

    prompt_number: int
    prompt: Prompt
    answers: tuple[Candidate, ...]
