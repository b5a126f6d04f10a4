"""Rows share sequences without seeing one another, and every token is learnt from once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from trainer_worker.trainer.engine.batch import IGNORED, Batch
from trainer_worker.trainer.engine.model import Decoder, ModelConfig
from trainer_worker.trainer.engine.packing import packed
from trainer_worker.trainer.engine.row_samples import PackedRows, PaddedRows, RowTokens
from trainer_worker.trainer.engine.samples import batch

CONTEXT = 24
END = 256


def rows_of(lengths: list[int], *, counted: float = 1.0, seed: int = 0) -> RowTokens:
    """Random rows; the number of row i in its file is 10 + i."""
    random = np.random.default_rng(seed)
    begins = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    tokens = random.integers(0, 256, int(begins[-1]), dtype=np.uint32)
    supervised = (random.random(int(begins[-1])) < counted).astype(np.uint8)
    return RowTokens(tokens, supervised, begins, np.arange(len(lengths)) + 10)


def laid_out(rows: RowTokens, *, split: bool = True, kind: type[PackedRows] = PackedRows) -> PackedRows:
    return kind(rows, context_length=CONTEXT, split=split, padding=END, dataset="d", decode=lambda ids: str(ids[:3]))


def targets_of(samples: PackedRows) -> list[tuple[int, int]]:
    """Each pair of a token and its counted target, wherever it is."""
    if not samples.count:
        return []
    whole = samples.read(np.arange(samples.count))
    counted = whole.targets_BT != IGNORED
    return sorted(zip(whole.tokens_BT[counted].tolist(), whole.targets_BT[counted].tolist(), strict=True))


def expected_targets(rows: RowTokens, *, longest: int | None = None) -> list[tuple[int, int]]:
    pairs = []
    for begin, end in zip(rows.begins[:-1], rows.begins[1:], strict=True):
        row, counted = rows.tokens[begin:end], rows.supervised[begin:end]
        found = [(int(row[i]), int(row[i + 1])) for i in range(len(row) - 1) if counted[i + 1]]
        pairs += (
            found
            if longest is None
            else [(int(row[i]), int(row[i + 1])) for i in range(min(len(row) - 1, longest)) if counted[i + 1]]
        )
    return sorted(pairs)


LENGTHS = st.lists(st.integers(0, 80), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS, counted=st.sampled_from([1.0, 0.3]), seed=st.integers(0, 99))
def test_every_counted_token_is_a_target_once(lengths: list[int], counted: float, seed: int) -> None:
    rows = rows_of(lengths, counted=counted, seed=seed)
    assert targets_of(laid_out(rows)) == expected_targets(rows)
    assert targets_of(laid_out(rows, kind=PaddedRows)) == expected_targets(rows)
    assert targets_of(laid_out(rows, split=False)) == expected_targets(rows, longest=CONTEXT)


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 50), max_size=300), capacity=st.integers(50, 60))
def test_each_piece_is_in_one_sequence_and_none_is_overfull(lengths: list[int], capacity: int) -> None:
    layout = packed(np.array(lengths, np.int64), capacity=capacity)
    assert sorted(layout.pieces.tolist()) == list(range(len(lengths)))
    for begin, end in zip(layout.begins[:-1], layout.begins[1:], strict=True):
        inside = layout.pieces[begin:end]
        assert 0 < sum(lengths[piece] for piece in inside) <= capacity
        assert (np.diff(inside) > 0).all()


def one_by_one(lengths: list[int], capacity: int) -> int:
    """Best fit decreasing as textbooks have it."""
    free: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in free if room >= length]
        best = min(fitting, default=None)
        if best is None:
            free.append(capacity - length)
        else:
            free[free.index(best)] -= length
    return len(free)


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 50), max_size=200))
def test_there_are_as_many_sequences_as_best_fit_decreasing_needs(lengths: list[int]) -> None:
    assert packed(np.array(lengths, np.int64), capacity=50).count == one_by_one(lengths, 50)


def tiny_model() -> Decoder:
    shape = {"layers": 2, "width": 16, "heads": 2, "key_value_heads": 1, "feed_forward_width": 24}
    model = Decoder(ModelConfig(**shape, context_length=CONTEXT, tied_head=True, rotary_base=1e4, vocabulary_size=257))
    model.initialize(3)
    return model.double()


def summed_loss(model: Decoder, one: Batch) -> torch.Tensor:
    logits_BTV = model(one.tokens_BT, positions_BT=one.positions_BT, documents_BT=one.documents_BT)
    return functional.cross_entropy(
        logits_BTV.flatten(0, 1), one.targets_BT.flatten(), ignore_index=IGNORED, reduction="sum"
    )


def alone(rows: RowTokens) -> list[Batch]:
    """Each row as a batch of its own, made without any of what is tested."""
    batches = []
    for begin, end in zip(rows.begins[:-1], rows.begins[1:], strict=True):
        row = torch.from_numpy(rows.tokens[begin:end].astype(np.int64))
        counted = torch.from_numpy(rows.supervised[begin:end].astype(bool))
        batches.append(Batch(row[None, :-1], row[1:].masked_fill(~counted[1:], IGNORED)[None]))
    return batches


@pytest.mark.parametrize("kind", [PackedRows, PaddedRows])
def test_packing_is_equal_to_one_document_at_a_time(kind: type[PackedRows]) -> None:
    """Losses and gradients, through the model that is trained."""
    rows = rows_of([5, 9, 25, 3, 14, 7, 2, 19, 11], counted=0.7)
    samples = laid_out(rows, kind=kind)
    assert kind is PaddedRows or samples.count < 6, "else nothing is packed"
    model = tiny_model()
    loss = summed_loss(model, samples.read(np.arange(samples.count)))
    loss.backward()
    together = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    apart = torch.stack([summed_loss(model, one) for one in alone(rows)]).sum()
    apart.backward()
    torch.testing.assert_close(loss, apart, rtol=1e-10, atol=1e-10)
    for name, weight in model.named_parameters():
        assert weight.grad is not None
        torch.testing.assert_close(together[name], weight.grad, rtol=1e-9, atol=1e-10)


def test_without_documents_rows_would_see_one_another() -> None:
    """The mask is what the test above rests on."""
    samples = laid_out(rows_of([9, 9]))
    whole = samples.read(np.arange(1))
    blind = Batch(whole.tokens_BT, whole.targets_BT, whole.positions_BT, None)
    model = tiny_model()
    assert abs(summed_loss(model, whole).item() - summed_loss(model, blind).item()) > 1e-6


def test_padding_is_a_document_of_its_own_that_nothing_is_learnt_from() -> None:
    one = laid_out(rows_of([5, 4])).read(np.array([0]))
    assert one.documents_BT is not None and one.positions_BT is not None
    assert one.documents_BT[0].tolist() == [0] * 4 + [1] * 3 + [2] * 17
    assert one.positions_BT[0].tolist() == [0, 1, 2, 3, 0, 1, 2] + [0] * 17
    assert one.tokens_BT[0, 7:].tolist() == [END] * 17
    assert one.targets_BT[0, 7:].tolist() == [IGNORED] * 17
    assert one.supervised == 7


def test_rows_alone_are_padded_to_the_longest_of_them() -> None:
    samples = PaddedRows(rows_of([5, 100, 200]), context_length=150, split=False, padding=END)
    assert samples.read(np.array([0])).tokens_BT.shape == (1, 64)
    assert samples.read(np.array([0, 1])).tokens_BT.shape == (2, 128)
    assert samples.read(np.array([2, 0])).tokens_BT.shape == (2, 150)
    assert samples.read(np.array([0])).documents_BT is None


def test_what_was_cut_off_and_left_out_is_counted() -> None:
    rows = rows_of([30, 10, 1, 0, 25])
    rows.supervised[30:40] = 0
    assert (laid_out(rows).pieces.truncated, laid_out(rows).pieces.unsupervised) == (0, 1)
    assert (laid_out(rows, split=False).pieces.truncated, laid_out(rows, split=False).pieces.unsupervised) == (1, 1)
    late = rows_of([40])
    late.supervised[: CONTEXT + 1] = 0
    assert laid_out(late).count == 1, "the rest of a long text counts"
    assert laid_out(late, split=False).count == 0, "an answer beyond the context cannot be learnt"


@settings(max_examples=30, deadline=None)
@given(lengths=LENGTHS, data=st.data())
def test_every_position_knows_where_it_came_from(lengths: list[int], data: st.DataObject) -> None:
    samples = laid_out(rows_of(lengths))
    if not samples.count:
        return
    index = data.draw(st.integers(0, samples.count - 1))
    one = samples.read(np.array([index]))
    for place in np.flatnonzero((one.targets_BT[0] != IGNORED).numpy()):
        origin = samples.origin(index, int(place))
        row = origin.row - 10
        assert samples.rows.tokens[samples.rows.begins[row] + origin.token] == one.tokens_BT[0, place]
        assert origin.dataset == "d"
        begin, end = samples.rows.begins[row : row + 2]
        assert origin.excerpt == str([int(token) for token in samples.rows.tokens[begin:end]][:3])


@settings(max_examples=30, deadline=None)
@given(first=st.integers(0, 500), size=st.integers(1, 9), seed=st.integers(0, 5))
def test_a_run_can_go_on_at_any_sample(first: int, size: int, seed: int) -> None:
    samples = laid_out(rows_of([9, 25, 3, 40, 14, 22, 24, 17] * 4))
    whole, numbers = batch(samples, seed=seed, first_sample=first, size=size)
    again, same = batch(laid_out(rows_of([9, 25, 3, 40, 14, 22, 24, 17] * 4)), seed=seed, first_sample=first, size=size)
    assert (numbers == same).all()
    assert torch.equal(whole.tokens_BT, again.tokens_BT) and torch.equal(whole.targets_BT, again.targets_BT)
    one_at_a_time = [batch(samples, seed=seed, first_sample=first + i, size=1)[0].tokens_BT for i in range(size)]
    assert torch.equal(whole.tokens_BT, torch.cat(one_at_a_time))


def test_a_batch_knows_how_much_it_learns_from_in_parts_too() -> None:
    samples = laid_out(rows_of([9, 25, 3, 40, 14, 22], counted=0.5))
    whole = samples.read(np.arange(samples.count))
    parts = list(whole.split(2))
    assert sum(part.rows for part in parts) == len(whole) == samples.count
    assert [part.supervised for part in parts] == [int((part.targets_BT != IGNORED).sum()) for part in parts]
    assert all(part.documents_BT is not None for part in parts)
    moved = whole.to(torch.device("cpu"))
    assert torch.equal(moved.targets_BT, whole.targets_BT) and moved.supervised == whole.supervised
