"""A bench with reviews, reviewers and applications, on either database."""

import pytest

from tests.support.feedback import FeedbackBench
from tests.support.houses import Bench
from tests.support.reviews import make_review_bench


@pytest.fixture
def feedback(bench: Bench) -> FeedbackBench:
    """A bench for feedback."""
    return FeedbackBench(make_review_bench(bench))
