"""Several datasets are drawn from by weight, each through its own epochs."""

import collections

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.test_packing import laid_out, rows_of
from trainer_worker.trainer.engine.batch import IGNORED
from trainer_worker.trainer.engine.mixture import BLOCK, Mixture
from trainer_worker.trainer.engine.samples import Windows, batch, validation_batches

CONTEXT = 24


def windows(name: str, count: int, *, first: int = 0) -> Windows:
    return Windows(np.arange(first, first + count * CONTEXT + 1), context_length=CONTEXT, dataset=name)


def mixture(*weights: float, counts: tuple[int, ...] = (7, 40, 300)) -> Mixture:
    parts = [windows(f"d{number}", count) for number, count in enumerate(counts[: len(weights)])]
    return Mixture(parts, weights)


def owners(mixed: Mixture, first: int, size: int, *, seed: int = 1) -> collections.Counter[str]:
    indices = mixed.order(np.arange(first, first + size), seed=seed)
    return collections.Counter(mixed.origin(int(index), 0).dataset for index in indices)


@settings(max_examples=30, deadline=None)
@given(weights=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=6), block=st.integers(0, 50))
def test_every_block_gives_each_dataset_its_share(weights: list[float], block: int) -> None:
    mixed = Mixture([windows(f"d{number}", 5) for number in range(len(weights))], weights)
    found = owners(mixed, block * BLOCK, BLOCK)
    for number, weight in enumerate(weights):
        assert abs(found[f"d{number}"] - BLOCK * weight / sum(weights)) < len(weights)


def test_shares_are_kept_over_a_long_run() -> None:
    found = owners(mixture(1, 2, 0.5), 0, 70 * BLOCK)
    assert found == {"d0": 20 * BLOCK, "d1": 40 * BLOCK, "d2": 10 * BLOCK}


def test_a_few_samples_are_mixed_too() -> None:
    found = owners(mixture(1, 1, 1), 0, 90)
    assert all(15 < count < 45 for count in found.values())


def test_each_dataset_goes_through_its_own_epochs() -> None:
    mixed = mixture(1, 2, 3)
    indices = mixed.order(np.arange(4 * BLOCK), seed=4)
    for begin, part in zip((0, 7, 47), mixed.parts, strict=True):
        own = indices[(indices >= begin) & (indices < begin + part.count)] - begin
        for epoch in range(len(own) // part.count):
            assert sorted(own[epoch * part.count : (epoch + 1) * part.count]) == list(range(part.count))


@settings(max_examples=40, deadline=None)
@given(first=st.integers(0, 10 * BLOCK), size=st.integers(1, 40), seed=st.integers(0, 3))
def test_a_run_can_go_on_at_any_sample(first: int, size: int, seed: int) -> None:
    mixed = mixture(1, 0.1, 2)
    whole, numbers = batch(mixed, seed=seed, first_sample=first, size=size)
    alone = [batch(mixed, seed=seed, first_sample=first + i, size=1) for i in range(size)]
    assert numbers.tolist() == [int(number[0]) for _, number in alone]
    assert torch.equal(whole.tokens_BT, torch.cat([one.tokens_BT for one, _ in alone]))


def test_the_seed_changes_who_comes_when() -> None:
    mixed = mixture(1, 1)
    orders = {mixed.order(np.arange(50), seed=seed).tobytes() for seed in range(5)}
    assert len(orders) == 5


def test_rows_and_windows_go_into_one_batch() -> None:
    mixed = Mixture([windows("text", 10), laid_out(rows_of([9, 25, 3, 40, 14, 22]))], [1, 1])
    indices = np.array([11, 0, 10, 3])
    whole = mixed.read(indices)
    assert whole.documents_BT is not None and whole.positions_BT is not None
    for row, index in enumerate(indices):
        part, own = (mixed.parts[0], index) if index < 10 else (mixed.parts[1], index - 10)
        alone = part.read(np.array([own]))
        assert torch.equal(whole.tokens_BT[row], alone.tokens_BT[0])
        assert torch.equal(whole.targets_BT[row], alone.targets_BT[0])
    assert whole.documents_BT[1].tolist() == [0] * CONTEXT
    assert whole.positions_BT[1].tolist() == list(range(CONTEXT))
    assert whole.supervised == int((whole.targets_BT != IGNORED).sum())


def test_shorter_sequences_are_filled_up() -> None:
    short = Windows(np.arange(11), context_length=10, dataset="short")
    whole = Mixture([windows("long", 3), short], [1, 1]).read(np.array([3, 0]))
    assert whole.tokens_BT.shape == (2, CONTEXT)
    assert whole.targets_BT[0].tolist() == [*range(1, 11), *[IGNORED] * 14]
    assert whole.documents_BT is None


def test_validation_takes_from_every_dataset_by_its_share() -> None:
    mixed = mixture(1, 2, 3)
    batches = list(validation_batches(mixed, sequences=24, rows=10))
    assert [len(one) for one in batches] == [10, 10, 4]
    taken = collections.Counter(mixed.origin(int(index), 0).dataset for index in mixed.spread(24))
    assert taken == {"d0": 4, "d1": 8, "d2": 12}
    assert (mixed.spread(24) == mixed.spread(24)).all()


@pytest.mark.parametrize(("parts", "wanted"), [(2, 1), (3, 1), (3, 4), (3, 7)])
def test_as_many_sequences_are_evaluated_as_are_wanted(parts: int, wanted: int) -> None:
    assert len(mixture(*[1.0] * parts, counts=(50,) * parts).spread(wanted)) == wanted


@pytest.mark.parametrize("wanted", [0, 1, 7, 1000])
def test_validation_never_takes_a_sequence_twice(wanted: int) -> None:
    spread = mixture(5, 1, 1).spread(wanted)
    assert len(set(spread.tolist())) == len(spread) <= wanted
