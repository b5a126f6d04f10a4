"""Jobs that draw answers: what they tell, and what they keep."""

import pathlib
from collections.abc import Iterator

import pytest
import torch

from tests.training.drawing import Studio, draw_spec
from tests.training.runs import Story
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.generate import DrawRule, continue_tokens
from trainer_worker.trainer.engine.model_artifact import base_model
from trainer_worker.trainer.recipes import draw as recipe
from trainer_worker.trainer.telling import message_of
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import facts_pb2, pipe_pb2

ASKED = ["def ", "x = [", "", "import j", "# aé", "ret", "class A", "0"]


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_all() -> Iterator[None]:
    """Also for what the tests share."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("studio"))


def prompts(*texts: str) -> list[dict[str, str]]:
    return [{"prompt": text} for text in texts or ASKED]


def answers_of(story: Story) -> dict[int, list[tuple[str, int]]]:
    return {
        told.prompt_number: [(answer.text, answer.seed) for answer in told.answers]
        for told in story.of(facts_pb2.AnswersDrawn)
    }


def test_answers_are_told_in_the_order_of_the_prompts_those_of_the_first_model_first(studio: Studio) -> None:
    story = studio.draw(draw_spec(samples=2), studio.dataset(prompts()), models=studio.models)
    assert story.ending == pipe_pb2.ENDING_COMPLETE
    told = story.of(facts_pb2.AnswersDrawn)
    assert [one.prompt_number for one in told] == list(range(1, len(ASKED) + 1))
    assert [one.prompt.text for one in told] == ASKED
    names = [model.name for model in studio.models]
    assert {tuple(answer.model_version for answer in one.answers) for one in told} == {
        (names[0], names[0], names[1], names[1])
    }
    seeds = [[answer.seed for answer in one.answers] for one in told]
    assert seeds == [2 * [11 + 2 * place, 12 + 2 * place] for place in range(len(ASKED))]


def test_a_model_answers_like_itself(studio: Studio) -> None:
    story = studio.draw(draw_spec(samples=2), studio.dataset(prompts()), models=2 * studio.models[:1])
    for told in story.of(facts_pb2.AnswersDrawn):
        texts = [answer.text for answer in told.answers]
        assert texts[:2] == texts[2:]
    lines = studio.lines(story)
    assert len({line["text"] for line in lines}) > len(ASKED), "samples differ all the same"


def test_an_answer_is_what_the_model_draws_by_its_seed(studio: Studio) -> None:
    story = studio.draw(draw_spec(), studio.dataset(prompts()))
    stored = base_model(studio.models[0], store=studio.bench.store, scratch=studio.bench.scratch)
    for line in studio.lines(story):
        prompt = stored.tokenizer.encode_prompt(line["prompt"])
        drawn = continue_tokens(
            stored.model, prompt, rule=DrawRule(0.8), seed=line["seed"], tokens_max=8, end_of_text=256
        )
        assert [token for token in line["tokens"] if token != 256] == list(drawn)


def test_the_file_holds_every_token_with_its_probability(studio: Studio) -> None:
    story = studio.draw(draw_spec(), studio.dataset(prompts()), models=studio.models)
    lines = studio.lines(story)
    told = [(one, answer) for one in story.of(facts_pb2.AnswersDrawn) for answer in one.answers]
    assert len(lines) == len(told) == 4 * len(ASKED)
    stored = {
        one.name: base_model(one, store=studio.bench.store, scratch=studio.bench.scratch).model for one in studio.models
    }
    for line, (one, answer) in zip(lines, told, strict=True):
        assert line["prompt_number"] == one.prompt_number
        assert (line["model_version"], line["seed"], line["text"]) == (answer.model_version, answer.seed, answer.text)
        assert len(line["tokens"]) == len(line["logprobs"]) == answer.tokens
        assert sum(line["logprobs"]) == answer.logprob
        assert line["finish"] in ("end_of_text", "length") and line["score"] is None
        prompt = [*line["prompt"].encode()] or [256]
        with torch.no_grad():
            believed = torch.log_softmax(stored[line["model_version"]](torch.tensor([prompt + line["tokens"]])), -1)[0]
        expected = [float(believed[len(prompt) - 1 + place, token]) for place, token in enumerate(line["tokens"])]
        assert line["logprobs"] == pytest.approx(expected, abs=1e-4)


def test_the_complete_files_are_of_the_last_step(studio: Studio) -> None:
    story = studio.draw(draw_spec(prompts_max=3), studio.dataset(prompts()))
    assert story.complete.step == 3
    assert story.complete.artifact_prefix.endswith("/step-3")
    assert [metric.step for metric in story.of(jobs_pb2.MetricLogged)] == [1, 2, 3]
    assert {line["prompt_number"] for line in studio.lines(story)} == {1, 2, 3}


def test_a_later_attempt_tells_the_same_answers_and_no_metric_twice(studio: Studio) -> None:
    dataset = studio.dataset(prompts())
    first = studio.draw(draw_spec(), dataset)
    again = studio.draw(draw_spec(), dataset, recorded_step=5)
    assert answers_of(again) == answers_of(first)
    assert [metric.step for metric in again.of(jobs_pb2.MetricLogged)] == [6, 7, 8]
    assert studio.lines(again) == studio.lines(first)


def test_which_prompts_are_drawn_together_changes_nothing(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = studio.dataset(prompts())
    expected = answers_of(studio.draw(draw_spec(), dataset))
    monkeypatch.setattr(recipe, "ANSWERS_TOGETHER", 6)
    assert answers_of(studio.draw(draw_spec(), dataset)) == expected


def test_metrics_say_how_much_was_drawn_and_how_fast(studio: Studio) -> None:
    story = studio.draw(draw_spec(), studio.dataset(prompts()))
    for metric, told in zip(story.of(jobs_pb2.MetricLogged), story.of(facts_pb2.AnswersDrawn), strict=True):
        assert metric.values["draw/tokens"] == sum(answer.tokens for answer in told.answers)
        assert metric.values["draw/tokens_per_second"] > 0
        assert "draw/score" not in metric.values


def test_a_checker_scores_each_answer(studio: Studio) -> None:
    checker = training_pb2.Checker(name="length-at-most", argument="4")
    story = studio.draw(draw_spec(checker=checker), studio.dataset(prompts()))
    for metric, told in zip(story.of(jobs_pb2.MetricLogged), story.of(facts_pb2.AnswersDrawn), strict=True):
        scores = [min(1.0, 4 / max(1, len(answer.text))) for answer in told.answers]
        assert [answer.score for answer in told.answers] == scores
        assert metric.values["draw/score"] == sum(scores) / len(scores)
    assert {line["score"] for line in studio.lines(story)} <= {min(1.0, 4 / size) for size in range(1, 9)}


def test_every_scored_answer_is_a_sign_of_life(studio: Studio) -> None:
    checker = training_pb2.Checker(name="python-parses")
    plain, scored = (studio.draw(draw_spec(**more), studio.dataset(prompts())) for more in ({}, {"checker": checker}))
    answers = sum(len(one.answers) for one in scored.of(facts_pb2.AnswersDrawn))
    assert len(scored.of(pipe_pb2.Progress)) == len(plain.of(pipe_pb2.Progress)) + answers


def test_stops_end_answers_before_them(studio: Studio) -> None:
    plain = studio.draw(draw_spec(samples=4, temperature=2.0), studio.dataset(prompts()))
    texts = [answer.text for told in plain.of(facts_pb2.AnswersDrawn) for answer in told.answers]
    stop = max(filter(str.isascii, "".join(texts)), key="".join(texts).count)
    story = studio.draw(draw_spec(samples=4, temperature=2.0, stop=[stop]), studio.dataset(prompts()))
    lines = studio.lines(story)
    assert all(stop not in line["text"] for line in lines)
    assert "stop" in {line["finish"] for line in lines}


def test_a_conversation_is_asked_as_its_template_writes_it(studio: Studio) -> None:
    talk = [{"role": "user", "content": "<|im_end|>"}]
    rows = [{"prompt": talk}, {"prompt": [{"role": "system", "content": "a"}, *talk]}]
    with pytest.raises(UnusableData, match="row 1: the prompt has 60 tokens, and .*versions/1 sees 16"):
        studio.draw(draw_spec(), studio.dataset(rows))


def test_conversations_end_with_the_turn(tmp_path: pathlib.Path) -> None:
    studio = Studio(tmp_path, context_length=128)
    rows = [{"prompt": [{"role": "user", "content": "a"}]}]
    story = studio.draw(draw_spec(), studio.dataset(rows))
    [told] = story.of(facts_pb2.AnswersDrawn)
    assert [(turn.role, turn.content) for turn in told.prompt.messages] == [("user", "a")]
    [line, _] = studio.lines(story)
    assert line["prompt"] == rows[0]["prompt"]
    stored = base_model(studio.models[0], store=studio.bench.store, scratch=studio.bench.scratch)
    asked = stored.tokenizer.encode_prompt("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n")
    drawn = continue_tokens(stored.model, asked, rule=DrawRule(0.8), seed=11, tokens_max=8, end_of_text=256)
    assert line["tokens"][:8] == list(drawn)[:8]


ROWS = {
    "pairs": [{"prompt": "ab", "chosen": "c", "rejected": "d"}],
    "completions": [{"prompt": "ab", "completion": "c"}],
    "checks": [{"prompt": "ab", "checks": [{"name": "contains", "argument": "x"}]}],
    "feedback": [{"kind": "label", "prompt": "ab", "completion": "c", "label": True, "weight": 1.0, "votes": []}],
}


@pytest.mark.parametrize("kind", ROWS)
def test_of_other_rows_the_prompts_are_taken(studio: Studio, kind: str) -> None:
    dataset = studio.dataset(ROWS[kind], kind="FEEDBACK" if kind == "feedback" else "")
    expected = answers_of(studio.draw(draw_spec(), studio.dataset(prompts("ab"))))
    assert answers_of(studio.draw(draw_spec(), dataset)) == expected


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"prompt": "a"}, {"prompt": "b" * 17}], "row 2: the prompt has 17 tokens, and .* sees 16"),
        ([{"prompt": "a"}, {"prompt": 5}], "row 2, prompt: must be text"),
        ([{"prompt": "a"}, {"question": "b"}], "row 2, prompt: is missing"),
        ([{"prompt": "a"}, ["b"]], "row 2: must be an object"),
        ([{"prompt": [{"role": "assistant", "content": "a"}]}], "ends with a turn of the assistant"),
        ([{"prompt": []}], "row 1, messages: must hold 1 to"),
        ([{"text": "a"}], "the rows are texts"),
        ([{"messages": [{"role": "system", "content": "a"}]}], "has no turn of the user"),
        ([], "has no prompts"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_drawn(
    studio: Studio, rows: list[object], words: str
) -> None:
    with pytest.raises(UnusableData, match=words):
        studio.draw(draw_spec(), studio.dataset(rows))


def test_prompts_beyond_those_wanted_are_not_looked_at(studio: Studio) -> None:
    story = studio.draw(draw_spec(prompts_max=1), studio.dataset(prompts("a", "b" * 99)))
    assert list(answers_of(story)) == [1]


def test_answers_that_the_context_cuts_short_are_foretold(studio: Studio) -> None:
    story = studio.draw(draw_spec(max_tokens=10), studio.dataset(prompts("a" * 12)))
    [note] = story.notes("short_answers")
    assert note.details["tokens"] == "5"
    assert max(len(line["tokens"]) for line in studio.lines(story)) <= 5
    assert not studio.draw(draw_spec(max_tokens=5), studio.dataset(prompts("a" * 12))).notes("short_answers")


@pytest.mark.parametrize("signs", [0, 1, 7])
def test_it_stops_when_it_is_told_to(studio: Studio, signs: int) -> None:
    left = iter([False] * signs)
    story = studio.draw(draw_spec(), studio.dataset(prompts()), stop=lambda: next(left, True))
    assert story.ending == pipe_pb2.ENDING_STOPPED
    assert not story.checkpoints


def test_signs_of_progress_come_with_every_step_of_drawing(studio: Studio) -> None:
    story = studio.draw(draw_spec(max_tokens=8), studio.dataset(prompts("a")))
    sections = [sign.section for sign in story.of(pipe_pb2.Progress)]
    assert sections.count(pipe_pb2.SECTION_EVALUATE) >= 8
    assert sections.count(pipe_pb2.SECTION_STEP) == 1
    assert sections.index(pipe_pb2.SECTION_FIRST_STEP) < sections.index(pipe_pb2.SECTION_STEP)
    assert sections[-1] == pipe_pb2.SECTION_CHECKPOINT


def test_a_broken_model_is_named(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = recipe.base_model

    def broken(*args: object, **named: object) -> object:
        stored = loaded(*args, **named)  # type: ignore[arg-type]
        torch.nn.init.constant_(stored.model.final_norm.weight, float("nan"))
        return stored

    monkeypatch.setattr(recipe, "base_model", broken)
    with pytest.raises(UnusableData, match="versions/1 cannot be drawn from"):
        studio.draw(draw_spec(), studio.dataset(prompts()))


def test_answers_together_fit_into_one_message(studio: Studio) -> None:
    answer = recipe.Answer(tokens=[1], logprobs=[-1.0], text="\U0001f600" * 100_000, finish="length")
    drawn = [recipe.Drawn("projects/p/models/m/versions/1", 0, 1, answer)] * 128
    prompt = recipe.prompt_message(recipe.Prompt(1, text="\U0001f600" * 100_000))
    told = facts_pb2.AnswersDrawn(prompt_number=1, prompt=prompt, answers=list(recipe.candidates_of(drawn)))
    assert message_of(told).ByteSize() < 4 << 20
