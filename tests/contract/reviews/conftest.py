"""A bench with a model, prompts and reviewers, on either database."""

import pytest

from tests.support.houses import Bench
from tests.support.reviews import ReviewBench, make_review_bench


@pytest.fixture
def reviews(bench: Bench) -> ReviewBench:
    """A bench for reviews."""
    return make_review_bench(bench)
