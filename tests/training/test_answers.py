"""Answers that share their prompt: the same numbers as each by itself, in fewer positions.

P prompts   A answers of all of them
"""

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.peers import SMALL, small_decoder
from trainer_worker.trainer.engine.answers import AnswerRows, Layout, Lesson
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.preference_rows import next_others, with_one_prompt, with_strange_answers
from trainer_worker.trainer.engine.reward_model import shares_prompts

PADDING = 0


def rows_of(count: int, *, answers: int = 2, longest: int = 9, seed: int = 3) -> AnswerRows:
    """Prompts and answers of random lengths, from one token on."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, longest + 1, count * (1 + answers))
    return AnswerRows(
        tokens=random.integers(1, SMALL.vocabulary_size, lengths.sum()).astype(np.uint32),
        begins=np.concatenate(([0], np.cumsum(lengths))),
        numbers=np.arange(1, count + 1),
        weights=np.ones(count, np.float32),
        labels=np.zeros(count, bool),
        answers=answers,
    )


def logprobs(model: Decoder, lesson: Lesson, *, rows: int = 100) -> Tensor:
    """Shape (P, A of a row), in the order of the lesson."""
    answers = lesson.rows.answers if lesson.chosen is None else len(lesson.chosen)
    found = torch.zeros(len(lesson), answers)
    for part in lesson.parts(rows):
        hidden_BTD = model.hidden(part.batch.tokens_BT, **part.batch.places)
        sums_A = part.logprobs(hidden_BTD, model.output_weight, soft_cap=model.config.logit_soft_cap)
        found[part.places] = sums_A.view(-1, answers).detach()
    return found


def by_itself(model: Decoder, lesson: Lesson) -> Tensor:
    """Each answer after its prompt in a pass of its own."""
    found = torch.zeros(len(lesson), lesson.rows.answers)
    for place, row in enumerate(lesson.indices_P):
        prompt, *answers = lesson.rows.segments(int(row))
        for number, answer in enumerate(answers):
            tokens_T = torch.from_numpy(np.concatenate([prompt, answer]).astype(np.int64))
            with torch.no_grad():
                logprobs_TV = torch.log_softmax(model(tokens_T[None, :-1])[0], dim=-1)
            spoken = logprobs_TV[len(prompt) - 1 :].gather(1, tokens_T[len(prompt) :, None])
            found[place, number] = spoken.sum()
    return found


@pytest.mark.parametrize("answers", [1, 2, 5])
@pytest.mark.parametrize("shared", [True, False])
def test_an_answer_is_as_likely_as_by_itself(shared: bool, answers: int) -> None:
    model, rows = small_decoder(), rows_of(17, answers=answers)
    lesson = Lesson(rows, np.arange(17)[::-1], Layout(PADDING, shared=shared))
    expected = by_itself(model, lesson)
    for at_once in (1, 4, 100):
        torch.testing.assert_close(logprobs(model, lesson, rows=at_once), expected, rtol=1e-4, atol=1e-4)


def test_one_of_the_answers_can_be_computed_alone() -> None:
    model = small_decoder()
    lesson = Lesson(rows_of(6, answers=3), np.arange(6), Layout(PADDING))
    expected = by_itself(model, lesson)
    torch.testing.assert_close(logprobs(model, lesson.only(1)), expected[:, 1:2], rtol=1e-4, atol=1e-4)


def test_a_row_of_answers_may_be_longer_than_the_context() -> None:
    """Its positions are not: each answer fits, and together they do not."""
    rows = rows_of(1, answers=8, longest=12)
    lesson = Lesson(rows, np.arange(1), Layout(PADDING))
    [part] = lesson.parts(1)
    assert part.batch.tokens_BT.shape[1] > SMALL.context_length > int(part.batch.positions_BT.max())
    model = small_decoder()
    torch.testing.assert_close(logprobs(model, lesson), by_itself(model, lesson), rtol=1e-4, atol=1e-4)


def test_near_layers_do_not_share_prompts() -> None:
    """A window counts places: the second answer would stand too far from its prompt."""
    near = small_decoder(sliding_window=6, local_layers=(0,))
    assert shares_prompts(SMALL) and not shares_prompts(near.config)
    lesson = Lesson(rows_of(9), np.arange(9), Layout(PADDING, shared=False))
    torch.testing.assert_close(logprobs(near, lesson), by_itself(near, lesson), rtol=1e-4, atol=1e-4)
    shared = logprobs(near, Lesson(lesson.rows, lesson.indices_P, Layout(PADDING)))
    assert not torch.allclose(shared, by_itself(near, lesson), rtol=1e-2)


def test_sharing_saves_the_prompt_but_its_last_token() -> None:
    rows = rows_of(20, answers=4)
    lengths = rows.lengths()
    whole = int((lengths[:, :1] + lengths[:, 1:] - 1).sum())
    once, repeated = (Lesson(rows, np.arange(20), Layout(PADDING, shared=shared)) for shared in (True, False))
    assert repeated.positions == whole
    assert once.positions == whole - 3 * int((lengths[:, 0] - 1).sum())


def test_parts_are_a_function_of_the_rows_alone() -> None:
    lesson = Lesson(rows_of(30), np.arange(30), Layout(PADDING))
    first, second = list(lesson.parts(7)), list(lesson.parts(7))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.batch.tokens_BT, other.batch.tokens_BT)
        assert np.array_equal(one.places, other.places)
    assert sorted(np.concatenate([part.places for part in first])) == list(range(30))
    longest = [int(lesson.rows.lengths()[part.places].sum(axis=1).max()) for part in first]
    assert longest == sorted(longest, reverse=True)


def test_strange_answers_are_answers_to_other_prompts() -> None:
    rows = rows_of(40, answers=1)
    strange = with_strange_answers(rows, context_length=SMALL.context_length)
    answers = {rows.segments(row)[1].tobytes() for row in range(40)}
    taken = [strange.segments(row)[2].tobytes() for row in range(40)]
    own = [strange.segments(row)[1].tobytes() for row in range(40)]
    assert own == [rows.segments(row)[1].tobytes() for row in range(40)]
    assert set(taken) <= answers and len(set(taken)) > 30
    assert all(one != other or len(one) < 8 for one, other in zip(taken, own, strict=True))


def test_the_next_row_with_another_prompt_is_found_around_the_end() -> None:
    assert next_others([b"a", b"b", b"b", b"a", b"a"]) == [1, 3, 3, 1, 1]
    assert next_others([b"a", b"a"]) == [0, 1], "there is none"
    assert next_others([]) == []


def test_one_prompt_with_many_answers_does_not_keep_a_run_waiting() -> None:
    rows = rows_of(40_000, answers=1, longest=1)
    tokens = rows.tokens.copy()
    tokens[:-2:2] = 1
    tokens[-2] = 2
    began = time.process_time()
    with_strange_answers(dataclasses.replace(rows, tokens=tokens), context_length=8)
    assert time.process_time() - began < 5, "looking through all rows for each takes minutes"


def arrays(*tokens: Sequence[int]) -> list[np.ndarray]:
    return [np.array(one, np.uint32) for one in tokens]


def test_a_token_across_the_end_of_the_prompt_belongs_to_the_answers() -> None:
    first, second = arrays([1, 2, 3]), arrays([1, 2, 9])
    segments = with_one_prompt([(first[0], arrays([4])[0]), (second[0], arrays([5, 6])[0])])
    assert [segment.tolist() for segment in segments] == [[1, 2], [3, 4], [9, 5, 6]]
