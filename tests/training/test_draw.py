"""Answers that are drawn together are those that are drawn one by one."""

import random
from collections.abc import Iterator, Sequence

import pytest
import torch

from tests.training.small_models import decoder
from trainer_worker.trainer.engine import draw as drawing
from trainer_worker.trainer.engine.draw import Answer, Asked, Drawer, Manner, NotFinite
from trainer_worker.trainer.engine.generate import DrawRule, continue_tokens
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.tokenizers import ByteTokenizer

END = ByteTokenizer.end_of_text
MANNER = Manner(DrawRule(1.0), tokens_max=24)


@pytest.fixture(scope="module")
def model() -> Decoder:
    return decoder()


def prompts(count: int, *, longest: int = 70, seed: int = 1) -> list[tuple[int, ...]]:
    generator = random.Random(seed)
    return [tuple(generator.choices(range(97, 123), k=generator.randint(1, longest))) for _ in range(count)]


def drawn(model: Decoder, asked: Sequence[Asked], **settings: object) -> list[Answer]:
    return finished(Drawer(model, ByteTokenizer(), **settings).draw(asked))  # type: ignore[arg-type]


def finished(drawing: Iterator[None]) -> list[Answer]:
    while True:
        try:
            next(drawing)
        except StopIteration as end:
            answers: list[Answer] = end.value
            return answers


@pytest.mark.parametrize("rule", [DrawRule(1.0), DrawRule(0.0), DrawRule(0.7, top_k=20), DrawRule(1.3, top_p=0.8)])
def test_each_answer_is_the_one_that_is_drawn_alone(model: Decoder, rule: DrawRule) -> None:
    manner = Manner(rule, tokens_max=12)
    asked = [Asked(prompt, seed, manner) for seed, prompt in enumerate(prompts(24))]
    for one, answer in zip(asked, drawn(model, asked, seats=8), strict=True):
        alone = continue_tokens(model, one.prompt, rule=rule, seed=one.seed, tokens_max=12, end_of_text=END)
        assert [token for token in answer.tokens if token != END] == list(alone)


def test_what_is_drawn_beside_an_answer_changes_no_bit_of_it(model: Decoder) -> None:
    asked = [Asked(prompt, seed, MANNER) for seed, prompt in enumerate(prompts(30))]
    together = drawn(model, asked)
    for picked in (asked[:1], asked[3:8], asked[::-1], asked[7:8] * 9, random.Random(3).sample(asked, 20)):
        for one, answer in zip(picked, drawn(model, picked), strict=True):
            expected = together[one.seed]
            assert (answer.tokens, answer.logprobs) == (expected.tokens, expected.logprobs)


@pytest.mark.parametrize("seats", [4, 8, 32])
def test_fewer_seats_change_no_bit(model: Decoder, seats: int) -> None:
    asked = [Asked(prompt, seed, MANNER) for seed, prompt in enumerate(prompts(40))]
    assert drawn(model, asked, seats=seats) == drawn(model, asked)


def test_log_probabilities_are_those_of_the_model_itself(model: Decoder) -> None:
    asked = [Asked(prompt, 5, Manner(DrawRule(0.3, top_k=3), tokens_max=12)) for prompt in prompts(6)]
    for one, answer in zip(asked, drawn(model, asked), strict=True):
        whole = torch.tensor([[*one.prompt, *answer.tokens]])
        with torch.no_grad():
            believed = torch.log_softmax(model(whole).double(), dim=-1)[0]
        places = range(len(one.prompt) - 1, whole.shape[1] - 1)
        expected = [float(believed[place, token]) for place, token in zip(places, answer.tokens, strict=True)]
        assert answer.logprobs == pytest.approx(expected, abs=1e-5)


def test_the_answers_to_one_prompt_read_it_once(model: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, ...]] = []
    before = drawing.prefill
    monkeypatch.setattr(drawing, "prefill", lambda *a, **k: (read.append(a[1]), before(*a, **k))[1])
    asked = [Asked(prompt, seed, MANNER) for prompt in prompts(5) for seed in range(4)]
    answers = drawn(model, random.Random(1).sample(asked, len(asked)))
    assert len(read) == 5
    assert len({tuple(answer.tokens) for answer in answers}) == 20


def test_an_answer_ends_where_the_context_is_full(model: Decoder) -> None:
    length = model.config.context_length
    long, longest = [tuple([97] * (length - 3)), tuple([97] * length)]
    asked = [Asked(prompt, 1, Manner(DrawRule(1.0), tokens_max=50)) for prompt in (long, longest)]
    answers = drawn(model, asked)
    assert [len(answer.tokens) for answer in answers] == [4, 1]
    assert {answer.finish for answer in answers} <= {"length", "end_of_text"}


class Reciting(Decoder):
    """Says one text, whatever it is asked, and then the end of the text."""

    def __init__(self, like: Decoder, text: bytes) -> None:
        super().__init__(like.config)
        self.text = [*text, END]

    def unembed(self, hidden_BTD: torch.Tensor) -> torch.Tensor:
        return hidden_BTD

    def hidden(self, tokens_BT: torch.Tensor, *, cache: object = None, **_: object) -> torch.Tensor:
        places_B = cache.lengths_B + tokens_BT.shape[1] - 3  # type: ignore[attr-defined] # prompts have 3 tokens
        logits_B1V = torch.zeros(len(tokens_BT), tokens_BT.shape[1], self.config.vocabulary_size)
        for row, place in enumerate(places_B.tolist()):
            logits_B1V[row, -1, self.text[min(max(place, 0), len(self.text) - 1)]] = 9.0
        return logits_B1V


@pytest.mark.parametrize(
    ("manner", "text", "finish", "tokens"),
    [
        (Manner(DrawRule(0.0)), "né, says he", "end_of_text", 13),
        (Manner(DrawRule(0.0), tokens_max=2), "n\ufffd", "length", 2),
        (Manner(DrawRule(0.0), stops=(b"says",)), "né, ", "stop", 9),
        (Manner(DrawRule(0.0), stops=(b"he", b", s")), "né", "stop", 6),
        (Manner(DrawRule(0.0), ends=frozenset(b",")), "né", "end_of_text", 4),
        (Manner(DrawRule(0.0), stops=(b"never",)), "né, says he", "end_of_text", 13),
    ],
)
def test_answers_end_as_they_are_asked_to(model: Decoder, manner: Manner, text: str, finish: str, tokens: int) -> None:
    reciting = Reciting(model, "né, says he".encode())
    [answer] = drawn(reciting, [Asked((97, 98, 99), 1, manner)])
    assert (answer.text, answer.finish, len(answer.tokens)) == (text, finish, tokens)
    assert len(answer.logprobs) == tokens


def test_a_model_that_computes_no_numbers_draws_nothing(model: Decoder) -> None:
    broken = decoder()
    with torch.no_grad():
        broken.final_norm.weight[0] = float("nan")
    with pytest.raises(NotFinite):
        drawn(broken, [Asked((97,), 1, MANNER)])


def test_the_model_draws_without_dropout_and_is_then_as_it_was(model: Decoder) -> None:
    asked = [Asked(prompt, seed, MANNER) for seed, prompt in enumerate(prompts(5))]
    expected = drawn(model, asked)
    shaky = decoder()
    shaky.set_dropout(residual=0.9)
    shaky.train()
    assert drawn(shaky, asked) == expected
    assert shaky.training


def test_nothing_asked_is_nothing_drawn(model: Decoder) -> None:
    assert drawn(model, []) == []
