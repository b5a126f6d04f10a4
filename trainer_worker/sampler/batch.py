"""Rows that are computed together, joining and leaving at any step.

    B rows of one step, some of which may be fill   V vocabulary

Each row has a seat: its row of the key-value cache. Seats are taken from the front, so that a step computes the front
of the cache and nothing else. A row's numbers do not depend on who sits beside it: prompts are read row by row, steps
are computed at sizes at which that is proved for this model on this machine (see engine/steadiness.py), and every row
draws by its own random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer_worker.sampler.errors import BrokenModel
from trainer_worker.sampler.row import Alternative, Row
from trainer_worker.trainer.engine.generate import (
    PREFILL_TOKENS,
    cache_for,
    draw_tokens,
    log_probabilities,
    read_chunk,
)
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.steadiness import rows_for


class Batch:
    """The seated rows of one model. Used by one thread only."""

    def __init__(self, decoder: Decoder, *, seats: int, sizes: Sequence[int]) -> None:
        """`sizes`: how many rows may be computed in one product, rising (see `steady_sizes`)."""
        self.seats = seats
        self.rows: list[Row] = []
        self._decoder = decoder
        self._context_length = decoder.config.context_length
        self._cache = cache_for(decoder.config, rows=rows_for(seats))
        self._sizes = sizes

    @property
    def free_seats(self) -> int:
        return self.seats - len(self.rows)

    def join(self, row: Row) -> None:
        """Gives a row a seat; its prompt is read by the steps that follow."""
        self.rows.append(row)

    def dismiss_ended(self) -> None:
        """Frees the seats of rows that are finished or that nobody waits for."""
        for seat in reversed(range(len(self.rows))):
            if self.rows[seat].finished or self.rows[seat].listener.gone:
                self._leave(seat)

    @property
    def any_ready(self) -> bool:
        """Whether a step would do anything, or a row has ended."""
        return any(row.unread or not row.listener.backlogged or row.listener.gone for row in self.rows)

    def clear(self) -> list[Row]:
        """Takes all rows away, whatever state the cache is in."""
        rows, self.rows = self.rows, []
        for seat in range(len(rows)):
            self._cache.clear_row(seat)
        return rows

    @torch.inference_mode()
    def step(self) -> bool:
        """Reads some of the prompts and draws a token in each row that is ready. False if nothing was to do."""
        ready = [seat for seat, row in enumerate(self.rows) if not row.unread and not row.listener.backlogged]
        if ready:
            self._decode(ready)
        return self._read_prompts() > 0 or bool(ready)

    def _read_prompts(self) -> int:
        """Reads chunks of prompts until about one whole chunk was read, and returns how many tokens that were.

        Many short prompts begin at once, and a long one holds up the others by no more than two chunks a step.
        """
        tokens_read = 0
        for seat, row in enumerate(self.rows):
            chunk = row.unread[:PREFILL_TOKENS]
            if chunk and tokens_read < PREFILL_TOKENS:
                self._read(seat, chunk)
                tokens_read += len(chunk)
        return tokens_read

    def _read(self, seat: int, chunk: Sequence[int]) -> None:
        row = self.rows[seat]
        hidden_1TD = read_chunk(self._decoder, chunk, cache=self._cache.part(seat, 1))
        row.unread = row.unread[len(chunk) :]
        if row.unread:
            return
        twins = [] if row.begun else self._twins(seat)
        for twin in twins:
            self._cache.copy_row(seat, twin)
            self.rows[twin].unread = []
        done = [seat, *twins]
        logits_1V = self._decoder.unembed(hidden_1TD[:, -1])
        self._draw(logits_1V.expand(len(done), -1), done)

    def _twins(self, seat: int) -> list[int]:
        """Other samples of the same request whose prompt is unread: it need not be read again."""
        return [
            other
            for other, row in enumerate(self.rows)
            if other != seat and row.listener is self.rows[seat].listener and row.fresh
        ]

    def _decode(self, ready: Sequence[int]) -> None:
        logits_BV = self._logits_of(ready)
        self._cache.lengths_B[list(ready)] += 1
        self._draw(logits_BV, ready)

    def _logits_of(self, ready: Sequence[int]) -> Tensor:
        """What follows in some seats, computed in as few products over neighbouring seats as can be trusted."""
        parts_BV = []
        while ready:
            needed = len(self.rows) - ready[0]
            size = next((size for size in self._sizes if size >= needed), self._sizes[-1])
            first = min(ready[0], self._cache.lengths_B.shape[0] - size)  # computing a seat again changes nothing
            inside = [seat - first for seat in ready if seat < first + size]
            parts_BV.append(self._logits(first, size)[inside])
            ready = ready[len(inside) :]
        return torch.cat(parts_BV)

    def _logits(self, first: int, count: int) -> Tensor:
        """What follows the last token of some seats. Rows that are not ready, and empty seats, are computed as fill:
        what they write lies beyond their length."""
        tokens = [row.last_token for row in self.rows[first : first + count]]
        tokens += [0] * (count - len(tokens))
        logits: Tensor = self._decoder(torch.tensor(tokens)[:, None], cache=self._cache.part(first, count))
        return logits[:, 0]

    def _draw(self, logits_BV: Tensor, seats: Sequence[int]) -> None:
        rows = [self.rows[seat] for seat in seats]
        finite_B1 = torch.isfinite(logits_BV).all(dim=-1, keepdim=True)
        logits_BV = torch.where(finite_B1, logits_BV, 0.0)
        tokens = draw_tokens(logits_BV, rules=[row.rule for row in rows], uniforms=[row.next_uniform() for row in rows])
        for place, (seat, row) in enumerate(zip(seats, rows, strict=True)):
            if not finite_B1[place]:
                self._fail(seat)
                continue
            logprob, alternatives = _explain(logits_BV[place], tokens[place], row.alternatives)
            row.take(tokens[place], logprob=logprob, alternatives=alternatives)
            self._slide(seat)

    def _slide(self, seat: int) -> None:
        """Makes room in a full context."""
        if int(self._cache.lengths_B[seat]) >= self._context_length and not self.rows[seat].finished:
            self._cache.lengths_B[seat] = 0
            self.rows[seat].reread_window(context_length=self._context_length)

    def _fail(self, seat: int) -> None:
        self._cache.clear_row(seat)
        row = self.rows[seat]
        row.finished = True
        row.listener.fail(BrokenModel("the model computed numbers that are not finite"))

    def _leave(self, seat: int) -> None:
        """The last row moves to the freed seat."""
        last = len(self.rows) - 1
        if seat != last:
            self._cache.copy_row(last, seat)
            self.rows[seat] = self.rows[last]
        self._cache.lengths_B[last] = 0
        self.rows.pop()


def _explain(logits_V: Tensor, token: int, alternatives: int | None) -> tuple[float | None, tuple[Alternative, ...]]:
    if alternatives is None:
        return None, ()
    believed_V = log_probabilities(logits_V[None])[0]
    count = min(alternatives, believed_V.shape[0])
    best, order = believed_V.topk(count)
    pairs = zip(order.tolist(), best.tolist(), strict=True)
    return float(believed_V[token]), tuple(Alternative(*pair) for pair in pairs)
