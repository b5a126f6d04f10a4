"""Runs that learn from the scores of their own answers."""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.training.drawing import Studio
from tests.training.runs import Bench, Story, resume_from
from tests.training.tuning import Workshop, tuning_spec, workshop
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.evaluate import Evaluation
from trainer_worker.trainer.engine.prompt_samples import MixedPrompts
from trainer_worker.trainer.engine.stored_model import load_model
from trainer_worker.trainer.failures import TrainingFailed
from trainer_worker.trainer.recipes import grpo as recipe
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2

CHECKER = training_pb2.Checker(name="contains", argument="e")
LORA = training_pb2.LoraSpec(rank=2, alpha=4.0, targets=["query", "value"])
PROMPTS = ["def ", "x = ", "import ", "class A", "ret", "for i in ", "# a", "if x"]
HELD_OUT = ["while ", "y = "]


def grpo_spec(**changes: Any) -> training_pb2.FineTuneSpec:
    """A full specification; `changes` replace settings of GRPO, or what `tuning_spec` takes."""
    settings: dict[str, Any] = {"group_size": 4, "max_tokens": 6, "temperature": 1.0, "kl_weight": 0.04}
    settings |= {"clip_ratio": 0.2, "updates": 1, "checker": CHECKER}
    settings |= {key: changes.pop(key) for key in list(changes) if key in settings}
    return tuning_spec(
        method=training_pb2.METHOD_GRPO,
        grpo=training_pb2.GrpoSpec(**{key: value for key, value in settings.items() if value is not None}),
        **{"batch_size": 8, "micro_batch_size": 8, "samples_interval": 0, **changes},
    )


def with_prompts(shop: Workshop, rows: list[Any] | None = None, *, held_out: int = 2) -> Workshop:
    rows = [{"prompt": text} for text in (*PROMPTS, *HELD_OUT)] if rows is None else rows
    studio = Studio.__new__(Studio)
    studio.bench = shop.bench
    return Workshop(shop.bench, shop.base, studio.dataset(rows, train_rows=len(rows) - held_out))


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_all() -> Iterator[None]:
    """Also for what the tests share."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def shop(tmp_path: pathlib.Path) -> Workshop:
    return with_prompts(workshop(tmp_path, context_length=32))


@pytest.fixture(scope="module")
def schooled(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("schooled")
    return with_prompts(
        workshop(folder, base_steps=100, context_length=32, width=32, batch_size=16, micro_batch_size=16)
    )


def scores(story: Story, key: str = "train/score") -> list[float]:
    return [metric.values[key] for metric in story.of(jobs_pb2.MetricLogged) if key in metric.values]


LEARNING: dict[str, dict[str, Any]] = {
    "full": {"steps": 8, "learning_rate": 0.01},
    "lora": {"steps": 8, "learning_rate": 0.02, "lora": training_pb2.LoraSpec(rank=8, alpha=16.0)},
    "more updates": {"steps": 6, "learning_rate": 0.01, "updates": 3},
}


@pytest.mark.parametrize("kind", LEARNING)
def test_a_planted_reward_is_learnt(schooled: Workshop, kind: str) -> None:
    sizes = {"group_size": 16, "batch_size": 64, "micro_batch_size": 64}
    spec = grpo_spec(**sizes, evaluation_interval=4, checkpoint_interval=100, **LEARNING[kind])
    found = scores(schooled.run(spec, epoch=1 + len(kind)))
    assert found[0] < 0.5
    assert found[-1] > (0.6 if kind == "lora" else 0.9)


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "lora": {"lora": LORA},
    "updates": {"updates": 3},
    "far from the base": {"kl_weight": 0.0},
    "hot": {"temperature": 1.7},
    "in pieces": {"micro_batch_size": 2},
    "bf16": {"precision": training_pb2.PRECISION_BF16},
    "dropout": {"regularization": training_pb2.RegularizationSpec(residual_dropout=0.2)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_gives_the_same_metrics_and_weights(shop: Workshop, kind: str) -> None:
    spec = grpo_spec(steps=4, checkpoint_interval=1, evaluation_interval=2, **KINDS[kind])
    whole = shop.run(spec)
    assert whole.ending == pipe_pb2.ENDING_COMPLETE
    for step in (0, 2):
        again = shop.run(spec, epoch=2 + step, resume=resume_from(whole.checkpoints[step]), recorded_step=step)
        assert again.curve == {at: values for at, values in whole.curve.items() if at > step}
        assert again.chains == {at: chains for at, chains in whole.chains.items() if at > step}
        assert shop.bench.weights_sha256(again.complete) == shop.bench.weights_sha256(whole.complete)


@pytest.mark.parametrize("micro_batch_size", [1, 2, 4])
def test_computed_in_pieces_the_step_is_the_same(shop: Workshop, micro_batch_size: int) -> None:
    weights = []
    for size in (8, micro_batch_size):
        spec = grpo_spec(steps=1, micro_batch_size=size, learning_rate=1.0)
        spec.optimization.optimizer = training_pb2.OPTIMIZER_SGD  # Adam makes much of the last bits of small gradients
        story = shop.run(spec, epoch=1 + size)
        weights.append(load_model(shop.bench.files(story.complete)).model.state_dict())
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-3, atol=1e-5)


def test_several_updates_move_further_than_one(shop: Workshop) -> None:
    one, three = (
        load_model(shop.bench.files(shop.run(grpo_spec(steps=1, updates=updates), epoch=updates).complete)).model
        for updates in (1, 3)
    )
    base = load_model(
        shop.bench.store.read_file_set(
            shop.base.artifact_prefix, manifest_sha256=shop.base.manifest_sha256, scratch=shop.bench.scratch
        )
    ).model

    def distance(model: torch.nn.Module) -> float:
        pairs = zip(model.parameters(), base.parameters(), strict=True)
        return sum(float((mine - before).detach().square().sum()) for mine, before in pairs)

    assert distance(three) > 2 * distance(one)


def test_what_is_measured_is_told(shop: Workshop) -> None:
    story = shop.run(grpo_spec(steps=4, evaluation_interval=2, group_size=4))
    curve = story.curve
    for step, values in curve.items():
        assert {"train/score", "train/score_deviation", "train/kl", "train/clipped", "train/answer_tokens"} <= set(
            values
        )
        assert 0 <= values["train/score"] <= 1
        assert 1 <= values["train/answer_tokens"] <= 6
        assert ("eval/score" in values) == (step % 2 == 0)
    assert curve[1]["train/kl"] == 0.0 and curve[4]["train/kl"] > 0.0
    assert all(values["eval/loss"] == -values["eval/score"] for values in curve.values() if "eval/score" in values)
    assert not story.notes("overfitting")


def test_the_weight_on_the_divergence_keeps_the_model_close_to_its_base(schooled: Workshop) -> None:
    changes: dict[str, Any] = {"steps": 8, "learning_rate": 0.01, "checkpoint_interval": 100}
    free, held = (
        schooled.run(grpo_spec(kl_weight=weight, **changes), epoch=30 + int(weight)) for weight in (0.001, 20.0)
    )
    assert scores(held, "train/kl")[-1] < scores(free, "train/kl")[-1] / 3


def test_each_step_asks_as_many_prompts_as_groups_fit_into_a_batch(shop: Workshop, monkeypatch: Any) -> None:
    asked: list[int] = []
    before = recipe.Grpo.scores
    monkeypatch.setattr(
        recipe.Grpo,
        "scores",
        lambda self, run, prompts, answers: (asked.append(len(prompts)), before(self, run, prompts, answers))[1],
    )
    for groups, batch in ((2, 8), (1, 4), (1, 3), (2, 11)):
        asked.clear()
        shop.run(grpo_spec(steps=2, evaluation_interval=0, batch_size=batch, micro_batch_size=batch), epoch=20 + batch)
        assert asked[:2] == [groups] * 2


def test_prompts_that_occur_again_are_left_out(shop: Workshop) -> None:
    rows = [{"prompt": "a"}, {"prompt": "b"}, {"prompt": "a"}, {"prompt": "b"}, {"prompt": "c"}]
    story = with_prompts(shop, rows).run(grpo_spec(steps=1))
    [note] = story.notes("rows")
    assert (note.details["rows"], note.details["duplicates"]) == ("2", "2")
    spec = grpo_spec(steps=1, rows=training_pb2.RowsSpec(deduplicate=False))
    [note] = with_prompts(shop, rows).run(spec, epoch=2).notes("rows")
    assert (note.details["rows"], note.details["duplicates"]) == ("3", "0")


def test_a_mixture_draws_prompts_of_every_dataset(shop: Workshop, monkeypatch: Any) -> None:
    read: list[str] = []
    before = MixedPrompts.read

    def watched(self: MixedPrompts, indices: Any) -> Any:
        found = before(self, indices)
        read.extend(one.prompt.text for one in found)
        return found

    monkeypatch.setattr(MixedPrompts, "read", watched)
    other = with_prompts(shop, [{"prompt": text} for text in "abcdef"]).dataset
    story = shop.run(grpo_spec(steps=8, evaluation_interval=0), mixture=[other])
    assert story.ending == pipe_pb2.ENDING_COMPLETE
    assert set(read) & set(PROMPTS) and set(read) & set("abcdef")


def test_conversations_are_answered_by_the_template(tmp_path: pathlib.Path) -> None:
    shop = workshop(tmp_path, context_length=96)
    rows = [{"prompt": [{"role": "user", "content": text}]} for text in "abcdef"]
    story = with_prompts(shop, rows).run(grpo_spec(steps=2))
    assert load_model(shop.bench.files(story.complete)).tokenizer.chat_template is not None


@pytest.mark.parametrize(
    ("rows", "changes", "words"),
    [
        (
            [{"prompt": "a"}, {"prompt": "b" * 33}, {"prompt": "c"}],
            {},
            "row 2: the prompt has 33 tokens, and .* sees 32",
        ),
        ([{"prompt": "a"}, {"prompt": 1}, {"prompt": "c"}], {}, "row 2, prompt"),
        ([{"text": "a"}, {"text": "b"}, {"text": "c"}], {}, "the rows are texts"),
        (None, {"checker": None}, "nothing scores the answers"),
        (None, {"checker": training_pb2.Checker(name="sings")}, "there is no checker 'sings'"),
        (None, {"context_length": 33}, "the base model sees 32 tokens"),
        (None, {"regularization": training_pb2.RegularizationSpec(label_smoothing=0.1)}, "label_smoothing"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(shop: Workshop, rows: Any, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UnusableData, match=words):
        with_prompts(shop, rows, held_out=1).run(grpo_spec(**changes))


def test_only_held_out_prompts_are_too_few(shop: Workshop) -> None:
    with pytest.raises(UnusableData, match="no prompt in its training part"):
        with_prompts(shop, [{"prompt": "a"}, {"prompt": "b"}], held_out=2).run(grpo_spec())


def test_without_held_out_prompts_nothing_is_evaluated(shop: Workshop) -> None:
    story = with_prompts(shop, [{"prompt": "a"}, {"prompt": "b"}], held_out=0).run(grpo_spec(steps=3))
    assert story.notes("no_validation")
    assert not scores(story, "eval/score")


def test_a_model_that_draws_no_numbers_has_diverged(shop: Workshop, monkeypatch: Any) -> None:
    def broken(self: Any, asked: Any) -> Any:
        yield
        raise recipe.NotFinite("nan")

    monkeypatch.setattr(recipe.Drawer, "draw", broken)
    with pytest.raises(TrainingFailed, match="no answer can be drawn"):
        shop.run(grpo_spec())


def test_steps_that_are_verified_come_out_the_same(shop: Workshop) -> None:
    spec = grpo_spec(steps=4, checkpoint_interval=2)
    story = shop.run(spec)
    bench = Bench(shop.bench.folder, shop.dataset)
    found = bench.verify(spec, story.recorded[2:], base=shop.base, resume=resume_from(story.checkpoints[2]))
    assert found.notes("verified")


def test_memory_that_runs_out_halves_the_micro_batch_and_moves_once(shop: Workshop, monkeypatch: Any) -> None:
    spec = grpo_spec(steps=1, updates=2, learning_rate=0.5)
    spec.optimization.optimizer = training_pb2.OPTIMIZER_SGD
    expected = load_model(shop.bench.files(shop.run(spec).complete)).model.state_dict()
    before, calls = recipe.Grpo.found, []

    def failing(self: Any, run: Any, groups: Any) -> Any:
        calls.append(run.state.micro_batch_size)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("no more")
        return before(self, run, groups)

    monkeypatch.setattr(recipe.Grpo, "found", failing)
    story = shop.run(spec, epoch=2)
    assert calls == [8, 8, 4]
    found = load_model(shop.bench.files(story.complete)).model.state_dict()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-5)


def reward_model_of(shop: Workshop) -> workers_pb2.ModelArtifact:
    """One that was trained for a few steps."""
    rows = [{"prompt": text, "chosen": "e" * 4, "rejected": "z" * 4} for text in (*PROMPTS, *HELD_OUT)]
    studio = Studio.__new__(Studio)
    studio.bench = shop.bench
    taught = Workshop(shop.bench, shop.base, studio.dataset(rows, train_rows=8))
    story = taught.run(tuning_spec(method=training_pb2.METHOD_REWARD, samples_interval=0), epoch=50)
    return workers_pb2.ModelArtifact(
        name="projects/p/models/judge/versions/1",
        artifact_prefix=story.complete.artifact_prefix,
        manifest_sha256=story.complete.manifest_sha256,
    )


def test_a_reward_model_scores(shop: Workshop) -> None:
    judge = reward_model_of(shop)
    story = shop.run(grpo_spec(steps=2, checker=None), reward_model=judge)
    assert story.ending == pipe_pb2.ENDING_COMPLETE
    assert len(set(scores(story))) > 1
    with pytest.raises(UnusableData, match="is no reward model"):
        shop.run(grpo_spec(steps=2, checker=None), epoch=3, reward_model=shop.base)
    with pytest.raises(UnusableData, match="is a reward model"):
        shop.run(grpo_spec(steps=2), epoch=4, base=judge)


def test_a_falling_score_is_no_sign_of_learning_by_heart(shop: Workshop, monkeypatch: Any) -> None:
    falling = iter([1.0, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.0])

    def evaluate(self: Any, run: Any) -> Any:
        yield from ()
        score = next(falling)
        return Evaluation(loss=-score, others={"score": score})

    monkeypatch.setattr(recipe.Grpo, "evaluate", evaluate)
    story = shop.run(grpo_spec(steps=8, evaluation_interval=1, checkpoint_interval=100, kl_weight=0.0))
    assert not story.notes("overfitting")
