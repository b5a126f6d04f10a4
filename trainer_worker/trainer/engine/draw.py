"""Drawing many answers with one model at a time.

    B rows that are computed together   V vocabulary

What an answer says depends on its prompt, its seed and the model, and on nothing that is drawn beside it: a prompt is
read by itself, and once for all of its answers; steps are computed at sizes at which rows are found not to depend on
one another (steadiness.py); and each answer draws by random numbers of its own. So prompts of like length can be put
together, and a seat that becomes free goes to the next answer.
"""

import collections
import dataclasses
import itertools
import random
from collections.abc import Generator, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from trainer_worker.trainer.engine.generate import (
    DrawRule,
    cache_bytes_per_row,
    cache_for,
    draw_tokens,
    log_probabilities,
    prefill,
)
from trainer_worker.trainer.engine.growing_text import GrowingText
from trainer_worker.trainer.engine.key_value_cache import KeyValueCache
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.precision import autocast
from trainer_worker.trainer.engine.steadiness import ROWS_TOGETHER, steady_sizes
from trainer_worker.trainer.engine.tokenizers import Tokenizer

SEATS = 64  # on two cores, more rows at once draw no faster
CACHE_BYTES_MAX = 2 << 30  # of keys and values; fewer seats are set where a row takes much

END_OF_TEXT, STOP, LENGTH = "end_of_text", "stop", "length"


class NotFinite(ValueError):
    """The model computed numbers that are none."""


@dataclasses.dataclass(frozen=True)
class Manner:
    """How answers are drawn. An answer ends with `tokens_max`, and before where the context of the model is full.

    It stops before the first of the `stops`, UTF-8, that is complete; `ends` are tokens that end it as the end of the
    text does.
    """

    rule: DrawRule = DrawRule()
    tokens_max: int = 100
    stops: tuple[bytes, ...] = ()
    ends: frozenset[int] = frozenset()


@dataclasses.dataclass(frozen=True)
class Asked:
    """An answer to be drawn: what it goes on from, and the seed of its random numbers."""

    prompt: tuple[int, ...]
    seed: int
    manner: Manner


@dataclasses.dataclass
class Answer:
    """What was drawn. `tokens` has the one that ended it; `logprobs` are the model's own, before temperature and cuts,
    in nats, one a token. `text` ends before a stop, and `finish` says why it ended."""

    tokens: list[int] = dataclasses.field(default_factory=list)
    logprobs: list[float] = dataclasses.field(default_factory=list)
    text: str = ""
    finish: str = ""


class Drawer:
    """Draws with one model, whose weights may change between the calls of `draw` but not during one."""

    def __init__(self, decoder: Decoder, tokenizer: Tokenizer, *, precision: str = "fp32", seats: int = SEATS) -> None:
        self.decoder = decoder
        self.tokenizer = tokenizer
        self._precision = precision
        self._seats = seats
        self._sizes: tuple[int, ...] = ()

    def draw(self, asked: Sequence[Asked]) -> Generator[None, None, list[Answer]]:
        """Yields nothing after each step, a sign of life. Returns the answers in the order in which they were asked.

        The model draws as it is used, without dropout, and is then as it was. Raises: NotFinite.
        """
        if not asked:
            return []
        training = self.decoder.training
        self.decoder.eval()
        try:
            return (yield from self._drawn(asked))
        finally:
            self.decoder.train(training)

    def _drawn(self, asked: Sequence[Asked]) -> Generator[None, None, list[Answer]]:
        context_length = self.decoder.config.context_length
        length = min(context_length, max(len(one.prompt) + one.manner.tokens_max for one in asked))
        seats = self._seats_for(length)
        table = Table(self.decoder, self.tokenizer, seats=seats, sizes=self._steady(seats, length), length=length)
        order = sorted(range(len(asked)), key=lambda place: (len(asked[place].prompt), asked[place].prompt))
        waiting = collections.deque((place, asked[place]) for place in order)
        answers: list[Answer] = [Answer() for _ in asked]
        while waiting or table.rows:
            with torch.inference_mode(), autocast(self._precision, device=table.device):
                if waiting and table.free:
                    table.seat([waiting.popleft() for _ in range(min(table.free, len(waiting)))])
                else:
                    table.step()
            for row in table.dismiss():
                answers[row.place] = row.answer()
            yield
        return answers

    def _seats_for(self, length: int) -> int:
        """A power of two."""
        fitting = CACHE_BYTES_MAX // cache_bytes_per_row(self.decoder.config, length=length)
        wanted = max(ROWS_TOGETHER, min(self._seats, fitting))
        return 1 << (wanted.bit_length() - 1)

    def _steady(self, seats: int, length: int) -> tuple[int, ...]:
        """The numbers of rows at which steps are computed: those found steady, or if there are none always all.

        What is steady depends on shapes, not on weights: it is tried once.
        """
        if not self._sizes:
            tried = [size for size in powers_of_two(SEATS) if ROWS_TOGETHER <= size <= max(seats, ROWS_TOGETHER)]
            with autocast(self._precision, device=self.decoder.embedding.weight.device):
                self._sizes = steady_sizes(self.decoder, seats=seats, tried=tried, length=length)
        fitting = tuple(size for size in self._sizes if ROWS_TOGETHER <= size <= seats)
        return fitting or (seats,)


class Row:
    """One answer on its way."""

    def __init__(self, place: int, asked: Asked, *, tokenizer: Tokenizer, context_length: int) -> None:
        self.place, self.prompt, self.manner = place, asked.prompt, asked.manner
        self._left = min(asked.manner.tokens_max, context_length - len(asked.prompt) + 1)
        self._ends = asked.manner.ends | {tokenizer.end_of_text}
        self._generator = random.Random(asked.seed)
        self._growing = GrowingText(asked.manner.stops)
        self._tokenizer = tokenizer
        self._pieces: list[str] = []
        self._answer = Answer()

    @property
    def finished(self) -> bool:
        return bool(self._answer.finish)

    @property
    def last_token(self) -> int:
        return self._answer.tokens[-1]

    def next_uniform(self) -> float:
        return self._generator.random()

    def take(self, token: int, logprob: float) -> None:
        """Adds a drawn token, and sees whether the answer ends with it."""
        self._answer.tokens.append(token)
        self._answer.logprobs.append(logprob)
        self._left -= 1
        if token in self._ends:
            self._answer.finish = END_OF_TEXT
            return
        self._pieces.append(self._growing.grow(self._tokenizer.token_bytes(token)))
        if self._growing.stopped:
            self._answer.finish = STOP
        elif self._left == 0:
            self._answer.finish = LENGTH

    def answer(self) -> Answer:
        """Once it is finished."""
        self._answer.text = "".join([*self._pieces, self._growing.end()])
        return self._answer


class Table:
    """Rows that are computed together. They sit at the front of a cache, behind whose seats one row reads prompts."""

    def __init__(
        self, decoder: Decoder, tokenizer: Tokenizer, *, seats: int, sizes: tuple[int, ...], length: int
    ) -> None:
        """`sizes`: how many rows may be computed in one product, rising; `length`: the tokens of the longest row."""
        self.device = decoder.embedding.weight.device
        self.rows: list[Row] = []
        self._decoder, self._tokenizer, self._sizes, self._seats = decoder, tokenizer, sizes, seats
        self._cache = cache_for(decoder.config, rows=seats + 1, length=length, device=self.device)
        self._read: tuple[int, ...] = ()
        self._read_logits_1V: Tensor | None = None

    @property
    def free(self) -> int:
        return self._seats - len(self.rows)

    def seat(self, asked: Iterable[tuple[int, Asked]]) -> None:
        """Reads the prompts of answers and draws the first token of each; those that follow are drawn by steps."""
        parts_1V = []
        for place, one in asked:
            parts_1V.append(self._logits_after(one.prompt))
            self._cache.copy_row(self._seats, len(self.rows))
            context_length = self._decoder.config.context_length
            self.rows.append(Row(place, one, tokenizer=self._tokenizer, context_length=context_length))
        self._draw(torch.cat(parts_1V), self.rows[-len(parts_1V) :])

    def step(self) -> None:
        """Draws a token in each row."""
        logits_BV = torch.cat([self._logits(first, size) for first, size in self._products()])[: len(self.rows)]
        self._cache.lengths_B[: len(self.rows)] += 1
        self._draw(logits_BV, self.rows)

    def dismiss(self) -> Iterator[Row]:
        """The rows that are finished, whose seats are free now: the last row moves to each."""
        for seat in reversed(range(len(self.rows))):
            row = self.rows[seat]
            if row.finished:
                last = len(self.rows) - 1
                if seat != last:
                    self._cache.copy_row(last, seat)
                    self.rows[seat] = self.rows[last]
                self._cache.lengths_B[last] = 0
                self.rows.pop()
                yield row

    def _logits_after(self, prompt: tuple[int, ...]) -> Tensor:
        """What follows a prompt, which lies read behind the seats. Shape (1, V)."""
        if self._read_logits_1V is None or prompt != self._read:
            reader: KeyValueCache = self._cache.part(self._seats, 1)
            reader.lengths_B.zero_()
            self._read_logits_1V = prefill(self._decoder, prompt, cache=reader)
            self._read = prompt
        return self._read_logits_1V

    def _products(self) -> Iterator[tuple[int, int]]:
        """The first row and the size of each product of a step: one that holds all rows, or several of the largest."""
        largest = self._sizes[-1]
        for first in range(0, len(self.rows), largest):
            left = len(self.rows) - first
            yield first, next((size for size in self._sizes if size >= left), largest)

    def _logits(self, first: int, size: int) -> Tensor:
        """What follows the last token of some seats; empty ones are computed as fill. Shape (size, V)."""
        tokens = [row.last_token for row in self.rows[first : first + size]]
        tokens += [0] * (size - len(tokens))
        tokens_B1 = torch.tensor(tokens, device=self.device)[:, None]
        logits_B1V: Tensor = self._decoder(tokens_B1, cache=self._cache.part(first, size))
        return logits_B1V[:, 0]

    def _draw(self, logits_BV: Tensor, rows: Sequence[Row]) -> None:
        """Random numbers and what they choose are the host's: its order of adding is the same everywhere."""
        logits_BV = logits_BV.float().cpu()
        if not bool(torch.isfinite(logits_BV).all()):
            raise NotFinite("the model computed numbers that are not finite")
        rules = [row.manner.rule for row in rows]
        tokens = draw_tokens(logits_BV, rules=rules, uniforms=[row.next_uniform() for row in rows])
        drawn_B1 = torch.tensor(tokens)[:, None]
        logprobs: list[float] = log_probabilities(logits_BV).gather(1, drawn_B1)[:, 0].tolist()
        for row, token, logprob in zip(rows, tokens, logprobs, strict=True):
            row.take(token, logprob)


def powers_of_two(most: int) -> Iterator[int]:
    return itertools.takewhile(lambda size: size <= most, (1 << power for power in itertools.count()))
