"""Rows that are computed together."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
import torch

from tests.training.sampler.models import END_OF_TEXT, opinionated, reciting
from trainer_worker.sampler.batch import Batch
from trainer_worker.sampler.lean_model import make_lean
from trainer_worker.sampler.order import Order
from trainer_worker.sampler.row import Drawn, Row
from trainer_worker.trainer.engine.generate import DrawRule, continue_tokens, log_probabilities
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.steadiness import steady_sizes
from trainer_worker.trainer.engine.tokenizers import ByteTokenizer

SEATS = 12
SIZES = (4, 8, 12)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass
class Ear:
    """A listener that keeps everything."""

    heard: dict[int, list[Drawn]] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)
    gone: bool = False
    backlogged: bool = False

    def deliver(self, index: int, drawn: Drawn) -> None:
        self.heard.setdefault(index, []).append(drawn)

    def fail(self, error: Exception) -> None:
        self.errors.append(error)


def rows_of(
    prompt: bytes,
    *,
    seeds: Sequence[int] = (1,),
    tokens: int = 30,
    rule: DrawRule | None = None,
    logprobs: int | None = None,
) -> tuple[list[Row], Ear]:
    order = Order("", tokens, rule or DrawRule(1.0), tuple(seeds), (), logprobs)
    ear = Ear()
    tokenizer = ByteTokenizer()
    return [
        Row(list(prompt), order=order, index=index, listener=ear, vocabulary=tokenizer) for index in range(len(seeds))
    ], ear


def finish(batch: Batch, *, steps_max: int = 2000) -> None:
    for _ in range(steps_max):
        batch.dismiss_ended()
        if not batch.rows:
            return
        batch.step()
    raise AssertionError("rows never ended")


def drawn_alone(
    decoder: Decoder, prompt: bytes, *, sizes: Sequence[int] = SIZES, **wishes: object
) -> list[list[Drawn]]:
    batch = Batch(decoder, seats=SEATS, sizes=sizes)
    rows, ear = rows_of(prompt, **wishes)  # type: ignore[arg-type]
    for row in rows:
        batch.join(row)
    finish(batch)
    return [ear.heard[index] for index in sorted(ear.heard)]


def test_a_row_draws_what_a_loop_of_its_own_draws() -> None:
    decoder = opinionated()
    [drawn] = drawn_alone(decoder, b"To be", tokens=100, seeds=(4,), rule=DrawRule(0.7, top_k=20))
    expected = continue_tokens(
        decoder, b"To be", rule=DrawRule(0.7, top_k=20), seed=4, tokens_max=100, end_of_text=END_OF_TEXT
    )
    assert [one.token for one in drawn if one.token != END_OF_TEXT] == list(expected)


@pytest.mark.parametrize("way", ["as trained", "lean", "alone"])
def test_the_same_row_comes_out_the_same_to_the_last_bit_beside_any_others(way: str) -> None:
    decoder = make_lean(opinionated()) if way == "lean" else opinionated()
    sizes = (1,) if way == "alone" else steady_sizes(decoder, seats=SEATS)
    assert set(sizes) >= set(SIZES) or way == "alone"
    wishes = {"tokens": 90, "seeds": (9,), "logprobs": 3}
    [expected] = drawn_alone(decoder, b"the same", sizes=sizes, **wishes)
    batch = Batch(decoder, seats=SEATS, sizes=sizes)
    chance = random.Random(2)
    ears = []
    for step in range(400):
        if step % 40 == 20:
            [row], ear = rows_of(b"the same", **wishes)  # type: ignore[arg-type]
            ears.append(ear)
            if batch.free_seats:
                batch.join(row)
        elif chance.random() < 0.4 and batch.free_seats > 1:
            prompt = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 60)))
            rows, ear = rows_of(prompt, tokens=chance.randrange(1, 50), seeds=(chance.randrange(99),))
            ear.gone = False
            batch.join(rows[0])
        batch.step()
        batch.dismiss_ended()
    finish(batch)
    heard = [ear.heard[0] for ear in ears if ear.heard]
    assert len(heard) >= 5
    for drawn in heard:
        assert drawn == expected


def test_samples_of_one_request_are_those_of_their_seeds_alone() -> None:
    decoder = opinionated()
    together = drawn_alone(decoder, b"abc", seeds=(5, 6, 7), logprobs=0)
    alone = [drawn_alone(decoder, b"abc", seeds=(seed,), logprobs=0)[0] for seed in (5, 6, 7)]
    assert together == alone


def test_rows_of_different_lengths_give_what_they_give_one_at_a_time() -> None:
    decoder = opinionated()
    batch = Batch(decoder, seats=SEATS, sizes=SIZES)
    prompts = [bytes(range(1, length + 1)) for length in (1, 2, 5, 17, 33, 60, 64)]
    ears = []
    for prompt in prompts:
        [row], ear = rows_of(prompt)
        ears.append(ear)
        batch.join(row)
    finish(batch)
    assert [ear.heard[0] for ear in ears] == [drawn_alone(decoder, prompt)[0] for prompt in prompts]


def test_a_model_of_odd_shape_is_found_unsteady_and_still_draws_the_same() -> None:
    decoder = opinionated(width=30, heads=3, feed_forward_width=50)
    sizes = steady_sizes(decoder, seats=SEATS)
    batch = Batch(decoder, seats=SEATS, sizes=sizes)
    ears = []
    for length in (3, 30, 9, 50, 20):
        [row], ear = rows_of(bytes(range(length)), logprobs=1)
        ears.append((length, ear))
        batch.join(row)
    finish(batch)
    for length, ear in ears:
        assert [ear.heard[0]] == drawn_alone(decoder, bytes(range(length)), sizes=sizes, logprobs=1)


def test_log_probabilities_are_those_of_the_full_softmax_before_temperature() -> None:
    decoder = opinionated()
    [drawn] = drawn_alone(decoder, b"seed", tokens=20, rule=DrawRule(0.3, top_k=4), logprobs=20)
    text = [*b"seed", *(one.token for one in drawn)]
    believed_TV = log_probabilities(decoder(torch.tensor([text]))[0])
    for place, one in enumerate(drawn):
        row_V = believed_TV[3 + place]
        assert one.logprob == pytest.approx(float(row_V[one.token]), abs=1e-4)
        assert len(one.alternatives) == 20
        best = row_V.sort(descending=True).values[:20].tolist()
        assert [other.logprob for other in one.alternatives] == pytest.approx(best, abs=1e-4)


def test_all_alternatives_together_have_probability_one() -> None:
    [drawn] = drawn_alone(opinionated(), b"seed", tokens=3, logprobs=257)
    for one in drawn:
        assert torch.tensor([other.logprob for other in one.alternatives]).exp().sum() == pytest.approx(1.0, abs=1e-6)


def test_a_row_that_nobody_waits_for_leaves_before_the_next_step() -> None:
    batch = Batch(opinionated(), seats=SEATS, sizes=SIZES)
    [row], ear = rows_of(b"a", tokens=4000)
    [other], other_ear = rows_of(b"b", tokens=10)
    batch.join(row)
    batch.join(other)
    batch.step()
    ear.gone = True
    batch.dismiss_ended()
    assert batch.rows == [other]
    finish(batch)
    assert [other_ear.heard[0]] == drawn_alone(opinionated(), b"b", tokens=10)


def test_a_row_whose_reader_is_behind_pauses_and_then_goes_on_as_if_nothing_had_been() -> None:
    decoder = opinionated()
    batch = Batch(decoder, seats=SEATS, sizes=SIZES)
    [row], ear = rows_of(b"slow")
    [other], other_ear = rows_of(b"fast")
    batch.join(row)
    batch.join(other)
    for _ in range(8):
        batch.step()
    ear.backlogged = True
    heard = len(ear.heard[0])
    for _ in range(12):
        assert batch.step()
    assert len(ear.heard[0]) == heard and len(other_ear.heard[0]) > heard
    ear.backlogged = False
    finish(batch)
    assert [ear.heard[0]] == drawn_alone(decoder, b"slow")


def test_if_every_reader_is_behind_there_is_nothing_to_do() -> None:
    batch = Batch(opinionated(), seats=SEATS, sizes=SIZES)
    [row], ear = rows_of(b"x")
    batch.join(row)
    batch.step()
    ear.backlogged = True
    assert not batch.step() and not batch.any_ready


@pytest.mark.parametrize("rule", [DrawRule(0), DrawRule(1.0), DrawRule(1.0, top_k=3, top_p=0.9)])
def test_numbers_that_are_not_finite_end_their_row_and_no_other(rule: DrawRule) -> None:
    decoder = reciting(b"abc")
    decoder.embedding.weight[ord("!")] = float("nan")
    batch = Batch(decoder, seats=SEATS, sizes=SIZES)
    [bad], bad_ear = rows_of(b"ab!", rule=rule)
    [good], good_ear = rows_of(b"ab")
    batch.join(bad)
    batch.join(good)
    finish(batch)
    assert len(bad_ear.errors) == 1 and not bad_ear.heard
    assert b"".join(one.token_bytes for one in good_ear.heard[0]) == b"cab" * 10
    [heir], heir_ear = rows_of(b"ab")
    batch.join(heir)
    finish(batch)
    assert not heir_ear.errors
