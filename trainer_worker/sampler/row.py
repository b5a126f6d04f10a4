"""One sample on its way: what was read, what was drawn, and what becomes of the next token."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trainer_worker.sampler.order import Order
from trainer_worker.trainer.engine.generate import window
from trainer_worker.trainer.engine.growing_text import GrowingText
from tutelage.v1 import sampling_pb2


@dataclass(frozen=True)
class Alternative:
    """A token that could have been drawn, with its log-probability in nats."""

    token: int
    logprob: float


@dataclass(frozen=True)
class Drawn:
    """One token and the text that became certain by it. `finish` is set with the last token of a sample."""

    token: int
    token_bytes: bytes
    text: str
    logprob: float | None = None
    alternatives: tuple[Alternative, ...] = ()
    finish: sampling_pb2.FinishReason.ValueType | None = None


class Listener(Protocol):
    """To whom the rows of one request are told."""

    def deliver(self, index: int, drawn: Drawn) -> None:
        """Takes a token of the sample `index`."""

    def fail(self, error: Exception) -> None:
        """Takes the reason why no more will come."""

    @property
    def gone(self) -> bool:
        """Whether nobody listens any more."""

    @property
    def backlogged(self) -> bool:
        """Whether so much lies unread that drawing should wait."""


class Vocabulary(Protocol):
    """What a row must know of a tokenizer."""

    @property
    def end_of_text(self) -> int:
        """The token that ends a text."""

    def token_bytes(self, token: int) -> bytes:
        """What a token stands for; nothing for the end of text."""


class Row:
    """One sample of one request."""

    def __init__(
        self, prompt: Sequence[int], *, order: Order, index: int, listener: Listener, vocabulary: Vocabulary
    ) -> None:
        self.index = index
        self.listener = listener
        self.rule = order.rule
        self.alternatives = order.alternatives
        self.unread: list[int] = list(prompt)
        self.finished = False
        self._tokens: list[int] = list(prompt)
        self._prompt_tokens = len(prompt)
        self._drawn_left = order.tokens_max
        self._generator = random.Random(order.seeds[index])
        self._text = GrowingText(order.stops)
        self._vocabulary = vocabulary

    @property
    def fresh(self) -> bool:
        """Whether nothing of its prompt was read yet."""
        return len(self.unread) == len(self._tokens)

    @property
    def begun(self) -> bool:
        """Whether a token was drawn."""
        return len(self._tokens) > self._prompt_tokens

    @property
    def last_token(self) -> int:
        """What the next step continues."""
        return self._tokens[-1]

    def next_uniform(self) -> float:
        """The random number that the next token is drawn by."""
        return self._generator.random()

    def reread_window(self, *, context_length: int) -> None:
        """Goes on from the last half of a full context."""
        self.unread = list(window(self._tokens, context_length=context_length))

    def take(self, token: int, *, logprob: float | None, alternatives: tuple[Alternative, ...]) -> None:
        """Adds a drawn token, tells the listener, and sees whether the sample ends with it."""
        self._tokens.append(token)
        self._drawn_left -= 1
        token_bytes = self._vocabulary.token_bytes(token)
        text = self._text.grow(token_bytes)
        finish = self._finish(token)
        if finish is not None:
            text += self._text.end()
            self.finished = True
        self.listener.deliver(self.index, Drawn(token, token_bytes, text, logprob, alternatives, finish))

    def _finish(self, token: int) -> sampling_pb2.FinishReason.ValueType | None:
        if token == self._vocabulary.end_of_text:
            return sampling_pb2.FINISH_REASON_END_OF_TEXT
        if self._text.stopped:
            return sampling_pb2.FINISH_REASON_STOP
        if self._drawn_left == 0:
            return sampling_pb2.FINISH_REASON_LENGTH
        return None
