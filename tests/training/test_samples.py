"""Which text a step sees depends on seed, epoch and index, and on nothing else."""

import hashlib
import pathlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts import open_store
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.order import permuted
from trainer_worker.trainer.engine.samples import (
    Windows,
    batch,
    require_one_batch,
    validation_batches,
    validation_windows,
)
from trainer_worker.trainer.engine.text import chunks, fetch_text


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 3000), seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 100))
def test_an_epoch_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    order = permuted(np.arange(count), count=count, seed=seed, epoch=epoch)
    assert sorted(order.tolist()) == list(range(count))


def test_a_place_needs_no_other_place() -> None:
    whole = permuted(np.arange(1000), count=1000, seed=5, epoch=2)
    alone = [int(permuted(np.array([place]), count=1000, seed=5, epoch=2)[0]) for place in (0, 17, 999)]
    assert alone == [whole[0], whole[17], whole[999]]


def test_seed_and_epoch_change_the_order() -> None:
    orders = {permuted(np.arange(500), count=500, seed=s, epoch=e).tobytes() for s in range(3) for e in range(3)}
    assert len(orders) == 9


def test_the_order_is_the_same_for_ever() -> None:
    """A change of this hash would make every stored checkpoint go on with other data."""
    order = permuted(np.arange(1000), count=1000, seed=1, epoch=0).astype("<i8").tobytes()
    assert hashlib.sha256(order).hexdigest() == "8d8b9668a07056fa7bfed14f3acbbc86336a6ffda8d073e8b5a1d9908620b49b"


def test_the_order_looks_random() -> None:
    order = permuted(np.arange(10_000), count=10_000, seed=1, epoch=0)
    assert abs(np.corrcoef(np.arange(10_000), order)[0, 1]) < 0.05
    assert np.mean(np.diff(order) == 1) < 0.01


def test_batches_of_any_size_read_the_same_samples_in_a_row() -> None:
    windows = Windows(np.arange(101, dtype=np.uint8), context_length=10)
    whole, numbers = batch(windows, seed=3, first_sample=0, size=24)
    parts = [batch(windows, seed=3, first_sample=first, size=4) for first in range(0, 24, 4)]
    assert torch.equal(whole.tokens_BT, torch.cat([part.tokens_BT for part, _ in parts]))
    assert torch.equal(whole.targets_BT, torch.cat([part.targets_BT for part, _ in parts]))
    assert numbers.tolist() == [number for _, part in parts for number in part.tolist()]


def test_each_epoch_sees_every_token_once_as_target() -> None:
    windows = Windows(np.arange(101, dtype=np.uint8), context_length=10)
    for epoch in range(3):
        one, numbers = batch(windows, seed=3, first_sample=10 * epoch, size=10)
        assert sorted(one.targets_BT.flatten().tolist()) == list(range(1, 101))
        assert sorted(numbers.tolist()) == list(range(10))
        assert one.supervised == 100


def test_windows_know_where_they_came_from() -> None:
    text = np.frombuffer(b"hello world, how are you", np.uint8)
    windows = Windows(text, context_length=8, dataset="d", decode=lambda tokens: bytes(tokens).decode())
    origin = windows.origin(1, 3)
    assert (origin.dataset, origin.row, origin.token, origin.excerpt) == ("d", 0, 11, "rld, how ")


def test_a_text_too_short_for_one_batch_is_refused_with_the_numbers() -> None:
    windows = Windows(np.zeros(40, np.uint8), context_length=10)
    require_one_batch(windows, batch_size=3)
    with pytest.raises(UnusableData, match="has 40 tokens, and one batch of 4 sequences of 10 needs 41") as refusal:
        require_one_batch(windows, batch_size=4)
    assert "batch_size" in refusal.value.help


def test_validation_windows_are_always_the_same_and_spread_over_the_text() -> None:
    windows = validation_windows(np.arange(1001, dtype=np.uint32), context_length=10)
    first, again = (list(validation_batches(windows, sequences=4, rows=3)) for _ in range(2))
    assert all(torch.equal(one.tokens_BT, other.tokens_BT) for one, other in zip(first, again, strict=True))
    assert [len(one) for one in first] == [3, 1]
    assert [int(row[0]) for one in first for row in one.tokens_BT] == [0, 250, 500, 750]


@pytest.mark.parametrize(("size", "shapes"), [(0, []), (1, []), (2, [(1, 1)]), (7, [(1, 6)]), (22, [(2, 10)])])
def test_a_short_validation_text_is_one_short_window(size: int, shapes: list[tuple[int, int]]) -> None:
    windows = validation_windows(np.zeros(size, np.uint8), context_length=10)
    found = validation_batches(windows, sequences=9, rows=9)
    assert [tuple(one.targets_BT.shape) for one in found] == shapes


@given(text=st.text(alphabet="aé🙂\n ", max_size=200), size_bytes=st.integers(4, 50))
def test_chunks_join_to_the_text_and_never_cut_a_character(text: str, size_bytes: int) -> None:
    pieces = list(chunks(np.frombuffer(text.encode(), np.uint8), size_bytes=size_bytes))
    assert b"".join(pieces) == text.encode()
    assert "".join(piece.decode() for piece in pieces) == text


def test_a_dataset_is_copied_once_and_a_damaged_copy_is_replaced(tmp_path: pathlib.Path) -> None:
    store = open_store(f"file://{tmp_path / 'store'}")
    stored = store.put("datasets/a/text", b"some text")

    def fetch() -> bytes:
        text = fetch_text(store, key=stored.key, sha256=stored.sha256, size_bytes=9, scratch=tmp_path / "scratch")
        return text.tobytes()

    assert fetch() == b"some text"
    (tmp_path / "scratch" / "datasets" / stored.sha256).write_bytes(b"other txt")
    assert fetch() == b"some text"
    store.delete(stored.key)
    assert fetch() == b"some text"


def test_a_dataset_with_another_hash_is_refused(tmp_path: pathlib.Path) -> None:
    store = open_store(f"file://{tmp_path / 'store'}")
    store.put("datasets/a/text", b"some text")
    with pytest.raises(UnusableData, match="have the hash"):
        fetch_text(store, key="datasets/a/text", sha256="0" * 64, size_bytes=9, scratch=tmp_path / "scratch")
    assert list((tmp_path / "scratch" / "datasets").iterdir()) == []
