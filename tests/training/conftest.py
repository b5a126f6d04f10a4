"""One dataset for the tests of this folder."""

import pathlib
from collections.abc import Iterator

import pytest
import torch

from tests.training.runs import Bench, bench_with


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    return bench_with(tmp_path)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products gain nothing from more, and the cores are shared with other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
