"""Prompts with answers to them, laid out so that the answers to a prompt share its computation.

A prompt is computed once, and each answer goes on from it: a token of an answer sees the prompt and its own answer, and
none of the others. What the prompt says last is computed with each answer, since what follows it differs.

    P prompts of a batch   A answers of all of them   B rows   T positions   X positions of all rows (B · T)
    S positions with a target
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from trainer_worker.trainer.engine.batch import IGNORED, Batch, sent
from trainer_worker.trainer.engine.loss import token_losses
from trainer_worker.trainer.engine.packing import packed
from trainer_worker.trainer.engine.row_samples import PADDING_STEP


@dataclasses.dataclass(frozen=True)
class AnswerRows:
    """The tokens of rows, one row after the other: the prompt, never empty, then each of `answers` answers, each ended.

    Shapes: tokens (all,) uint32; begins (rows · (1 + answers) + 1,), numbers (rows,), both int64; weights (rows,)
    float32; labels (rows,) bool, whether the answer is good, where rows say that.
    """

    tokens: np.ndarray
    begins: np.ndarray
    numbers: np.ndarray
    weights: np.ndarray
    labels: np.ndarray
    answers: int

    def __len__(self) -> int:
        return len(self.numbers)

    def segments(self, row: int) -> list[np.ndarray]:
        """The prompt, and each answer."""
        first = row * (1 + self.answers)
        edges = self.begins[first : first + 2 + self.answers]
        return [self.tokens[begin:end] for begin, end in zip(edges, edges[1:], strict=False)]

    def lengths(self) -> np.ndarray:
        """Shape (rows, 1 + answers), int64."""
        return np.diff(self.begins).reshape(len(self), 1 + self.answers)


@dataclasses.dataclass(frozen=True)
class Part:
    """Some answers of a lesson, ready to be computed.

    `places` are the rows of the lesson that they belong to, (P,); answers are counted row by row. Shapes: answer_S (S,)
    and target_S (S,), the answer and the position in (B · T) of each target; end_A (A,), the position of the last token
    of each answer, and sizes_A (A,) float32, the number of its tokens.
    """

    places: np.ndarray
    batch: Batch
    answer_S: Tensor
    target_S: Tensor
    end_A: Tensor
    sizes_A: Tensor

    def to(self, device: torch.device) -> "Part":
        return Part(
            places=self.places,
            batch=self.batch.to(device),
            answer_S=sent(self.answer_S, device),
            target_S=sent(self.target_S, device),
            end_A=sent(self.end_A, device),
            sizes_A=sent(self.sizes_A, device),
        )

    def logprobs(self, hidden_BTD: Tensor, output_weight_VD: Tensor, *, soft_cap: float | None) -> Tensor:
        """The summed log-probability of the tokens of each answer, in nats. Shape (A,), float32."""
        losses_X = token_losses(
            hidden_BTD.flatten(0, 1), output_weight_VD, self.batch.targets_BT.flatten(), soft_cap=soft_cap
        )
        return -losses_X.new_zeros(len(self.sizes_A)).index_add(0, self.answer_S, losses_X[self.target_S])


@dataclasses.dataclass(frozen=True)
class Layout:
    """How answers become rows of a batch.

    `shared`: the answers to a prompt share it; without, each has a copy, for models whose layers see near keys only:
    what they see is counted in places, and a second answer stands far from its prompt. `whole`: the last token of an
    answer goes in as well, and no token is a target. `padding` is the token where nothing is.
    """

    padding: int
    shared: bool = True
    whole: bool = False


@dataclasses.dataclass(frozen=True)
class Lesson:
    """The rows of one step, and which of their answers: all, or those given."""

    rows: AnswerRows
    indices_P: np.ndarray
    layout: Layout
    chosen: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.indices_P)

    @property
    def positions(self) -> int:
        """How many are computed, without those that fill rows up."""
        return sum(len(piece.tokens) for row in self.indices_P for piece in self.pieces(int(row)))

    @property
    def weights(self) -> Tensor:
        """How much each row counts. Shape (P,), float32."""
        return torch.from_numpy(self.rows.weights[self.indices_P])

    @property
    def labels(self) -> Tensor:
        """Whether the answer of each row is good. Shape (P,), bool."""
        return torch.from_numpy(self.rows.labels[self.indices_P])

    def only(self, *answers: int) -> "Lesson":
        """The same with these answers of each row."""
        return dataclasses.replace(self, chosen=answers)

    def parts(self, rows: int) -> Iterator[Part]:
        """At most so many rows at once, those of about the same length together: the longest first."""
        lengths = self.rows.lengths()[self.indices_P].sum(axis=1)
        by_length = np.argsort(-lengths, kind="stable")
        for begin in range(0, len(by_length), rows):
            places = by_length[begin : begin + rows]
            yield laid_out([self.pieces(int(row)) for row in self.indices_P[places]], places, self.layout)

    def pieces(self, row: int) -> list["Piece"]:
        prompt, *answers = self.rows.segments(row)
        answers = answers if self.chosen is None else [answers[number] for number in self.chosen]
        return list(pieces_of(prompt, answers, self.layout))


@dataclasses.dataclass(frozen=True)
class Piece:
    """Tokens that follow one another: those of a prompt, of an answer, or of both.

    `targets` are IGNORED where the loss does not count; `first` is the position of the first token in its text;
    `parent` says how many pieces ago the one was that it goes on from, 0 for none; `answers` whether it ends one.
    """

    tokens: np.ndarray
    targets: np.ndarray
    first: int
    parent: int
    answers: bool
    size: int


def pieces_of(prompt: np.ndarray, answers: Sequence[np.ndarray], layout: Layout) -> Iterator[Piece]:
    """A prompt but for its last token, then each answer after that token; or the prompt before each answer."""
    shared = layout.shared and len(prompt) > 1
    kept, before = (prompt[:-1], prompt[-1:]) if shared else (prompt[:0], prompt)
    if shared:
        yield Piece(kept, np.full(len(kept), IGNORED), first=0, parent=0, answers=False, size=0)
    for number, answer in enumerate(answers, start=1):
        tokens = np.concatenate([before, answer if layout.whole else answer[:-1]])
        targets = np.full(len(tokens), IGNORED)
        if not layout.whole:
            targets[len(before) - 1 :] = answer
        parent = number if shared else 0
        yield Piece(tokens, targets, first=len(kept), parent=parent, answers=True, size=len(answer))


def laid_out(trees: Sequence[Sequence[Piece]], places: np.ndarray, layout: Layout) -> Part:
    """Puts what must share a row into as few rows as best fit needs, none longer than the longest tree."""
    groups = [list(tree) for tree in trees] if layout.shared else [[piece] for tree in trees for piece in tree]
    lengths = np.array([sum(len(piece.tokens) for piece in group) for group in groups])
    length = -(-int(lengths.max()) // PADDING_STEP) * PADDING_STEP
    shelves = packed(lengths, capacity=length)
    sheet = Sheet(shelves.count, length, padding=layout.padding)
    begin_of = np.empty(len(groups), np.int64)
    for row in range(shelves.count):
        taken = 0
        for group in shelves.pieces[shelves.begins[row] : shelves.begins[row + 1]]:
            begin_of[group] = row * length + taken
            taken += lengths[group]
    for number, group in enumerate(groups):
        sheet.write(group, begin=int(begin_of[number]))
    return sheet.part(places)


class Sheet:
    """A batch that is being written, and where on it the answers are."""

    def __init__(self, rows: int, length: int, *, padding: int) -> None:
        self.shape = rows, length
        self.tokens = np.full(rows * length, padding, np.int64)
        self.targets = np.full(rows * length, IGNORED, np.int64)
        self.positions = np.zeros(rows * length, np.int64)
        self.documents = np.full(rows * length, -1, np.int64)
        self.parents = np.full(rows * length, -1, np.int64)
        self.written = 0
        self.targets_of: list[np.ndarray] = []
        self.ends: list[int] = []
        self.sizes: list[int] = []

    def write(self, pieces: Sequence[Piece], *, begin: int) -> None:
        for piece in pieces:
            there = slice(begin, begin + len(piece.tokens))
            self.tokens[there], self.targets[there] = piece.tokens, piece.targets
            self.positions[there] = np.arange(piece.first, piece.first + len(piece.tokens))
            self.documents[there], self.parents[there] = self.written, self.written - piece.parent
            if piece.answers:
                self.targets_of.append(begin + np.flatnonzero(piece.targets != IGNORED))
                self.ends.append(begin + len(piece.tokens) - 1)
                self.sizes.append(piece.size)
            begin, self.written = begin + len(piece.tokens), self.written + 1

    def part(self, places: np.ndarray) -> Part:
        def shaped(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values.reshape(self.shape))

        counts = [len(targets) for targets in self.targets_of]
        return Part(
            places=places,
            batch=Batch(
                shaped(self.tokens),
                shaped(self.targets),
                positions_BT=shaped(self.positions),
                documents_BT=shaped(self.documents),
                parents_BT=shaped(self.parents),
            ),
            answer_S=torch.from_numpy(np.repeat(np.arange(len(counts)), counts)),
            target_S=torch.from_numpy(np.concatenate(self.targets_of)),
            end_A=torch.tensor(self.ends),
            sizes_A=torch.tensor(self.sizes, dtype=torch.float32),
        )
