"""Learning from preferences: going on is the same to the last bit, what is planted is learnt, what cannot be is told.

P pairs   2 a pair: chosen, rejected
"""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.family_models import result_of
from tests.training.runs import Story, resume_from
from tests.training.test_resume import later
from tests.training.tuning import Workshop, model_artifact, tuning_spec, with_rows, workshop
from trainer_worker.trainer import comparing
from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.model_artifact import base_model, reward_model
from trainer_worker.trainer.engine.prompts import Prompt
from trainer_worker.trainer.engine.reward_model import RewardModel, score_texts
from trainer_worker.trainer.engine.stored_model import load_model
from trainer_worker.trainer.recipes.export_model import export_model
from trainer_worker.trainer.recipes.verify import verify
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage.v1.training_pb2 import EarlyStoppingSpec, LoraSpec, PreferenceSpec, RegularizationSpec
from tutelage_internal.v1 import pipe_pb2, workers_pb2

LORA = LoraSpec(rank=4, alpha=8.0)
METHODS = {name: getattr(training_pb2, f"METHOD_{name}") for name in ("DPO", "IPO", "SIMPO", "ORPO", "KTO", "REWARD")}
OF_PAIRS = [name for name in METHODS if name != "KTO"]
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
HELD_OUT = 2


def pairs() -> list[dict[str, Any]]:
    """After every number people want a full stop, and no question mark."""
    return [
        {"prompt": f"{word} is", "chosen": " so" * (1 + place % 3) + ".", "rejected": " no?"}
        for place, word in enumerate(NUMBERS)
    ]


def labels() -> list[dict[str, Any]]:
    return [
        {"prompt": row["prompt"], "completion": row[field], "label": field == "chosen"}
        for row in pairs()
        for field in ("chosen", "rejected")
    ]


def conversations() -> list[dict[str, Any]]:
    return [row | {"prompt": [{"role": "user", "content": row["prompt"]}]} for row in pairs()]


@pytest.fixture(scope="module")
def schooled(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return workshop(tmp_path_factory.mktemp("schooled"), base_steps=4, context_length=96)


def shop_for(schooled: Workshop, method: str) -> Workshop:
    rows = labels() if method == "KTO" else pairs()
    held_out = HELD_OUT * (2 if method == "KTO" else 1)
    return with_rows(schooled, rows[:-held_out], held_out=rows[-held_out:])


epochs: Iterator[int] = iter(range(1, 10_000))


def tuned(shop: Workshop, spec: training_pb2.FineTuneSpec, **fields: Any) -> Story:
    return shop.run(spec, epoch=next(epochs), **fields)


def small(method: str, **changes: Any) -> training_pb2.FineTuneSpec:
    fields: dict[str, Any] = {"steps": 4, "checkpoint_interval": 1, "batch_size": 4, "micro_batch_size": 3}
    fields |= {"samples_interval": 3, "method": METHODS[method]}
    return tuning_spec(**fields | changes)


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("method", METHODS)
def test_resuming_from_every_step_gives_the_same_metrics_and_weights(
    schooled: Workshop, method: str, lora: LoraSpec | None
) -> None:
    shop = shop_for(schooled, method)
    dropout = RegularizationSpec(residual_dropout=0.1)
    spec = small(method, lora=lora, regularization=dropout, preference=PreferenceSpec(sft_weight=0.1))
    whole = tuned(shop, spec)
    weights = shop.bench.weights_sha256(whole.complete)
    assert all("eval/loss" in whole.curve[step] for step in (3, 4))
    for step in range(spec.steps):
        again = tuned(shop, spec, resume=resume_from(whole.checkpoints[step]), recorded_step=step)
        assert again.curve == later(whole, step)
        assert again.chains == {at: chains for at, chains in whole.chains.items() if at > step}
        assert shop.bench.weights_sha256(again.complete) == weights


@pytest.mark.parametrize("lora", [None, LoraSpec(rank=8, alpha=64.0)], ids=["full", "lora"])
@pytest.mark.parametrize("method", OF_PAIRS)
def test_a_planted_preference_is_learnt(schooled: Workshop, method: str, lora: LoraSpec | None) -> None:
    """People want a word that the base thinks unlikely, whatever is said before it."""
    rows = [
        {"prompt": f"{word} or {other}?", "chosen": f" {word} zqj", "rejected": f" {word} the"}
        for word in NUMBERS
        for other in NUMBERS
    ]
    held_out = rows[::4]
    shop = with_rows(schooled, [row for row in rows if row not in held_out], held_out=held_out)
    fields = {"steps": 40, "batch_size": 8, "micro_batch_size": 8, "learning_rate": 3e-3 if lora is None else 1e-2}
    fields |= {"checkpoint_interval": 1000, "samples_interval": 0, "evaluation_interval": 40}
    fields |= {"lora": lora, "preference": PreferenceSpec(beta=5.0) if method == "ORPO" else None}
    first, spec = small(method, **fields | {"steps": 1, "learning_rate": 0.0}), small(method, **fields)
    first.evaluation.sequences = spec.evaluation.sequences = 100
    before, after = tuned(shop, first).curve[1], tuned(shop, spec).curve[40]
    assert before["eval/accuracy"] <= 0.5 or method == "REWARD"  # whose new head may be right by chance
    assert after["eval/accuracy"] >= 0.9
    assert after["eval/margin"] > before["eval/margin"]


def test_good_answers_win_over_bad_ones_by_labels_alone(schooled: Workshop) -> None:
    shop = shop_for(schooled, "KTO")
    spec = small("KTO", steps=40, checkpoint_interval=1000, samples_interval=0, evaluation_interval=20)
    curve = tuned(shop, spec).curve
    assert curve[1]["train/loss"] == pytest.approx(0.5)  # nothing has moved yet
    assert curve[40]["eval/loss"] < curve[20]["eval/loss"] < 0.45
    assert curve[40]["eval/chosen_reward"] > 0.5 > 0 > curve[40]["eval/rejected_reward"]
    assert curve[40]["eval/kl"] >= 0


def test_conversations_are_asked_and_answered_by_the_template(schooled: Workshop) -> None:
    rows = conversations()
    shop = with_rows(schooled, rows[:-HELD_OUT], held_out=rows[-HELD_OUT:])
    story = tuned(shop, small("DPO"))
    stored = base_model(model_artifact(story.complete), store=shop.bench.store, scratch=shop.bench.scratch)
    assert "<|im_start|>" in (stored.tokenizer.chat_template or "")
    said = [[{"role": "assistant", "content": row["chosen"]}] for row in rows]
    listed = [row | {"chosen": answer} for row, answer in zip(rows, said, strict=True)]
    again = tuned(with_rows(schooled, listed[:-HELD_OUT], held_out=listed[-HELD_OUT:]), small("DPO"))
    assert again.curve == story.curve


FEEDBACK: list[dict[str, Any]] = [
    *({"kind": "pair", "votes": ["v"], "weight": 1.0} | row for row in pairs()),
    *({"kind": "label", "votes": ["v"], "weight": 1.0} | row for row in labels()),
    *(
        {"kind": "example", "votes": ["v"], "weight": 1.0, "prompt": row["prompt"], "completion": row["chosen"]}
        for row in pairs()
    ),
]


@pytest.mark.parametrize("method", METHODS)
def test_a_feedback_set_gives_each_method_its_own_rows(schooled: Workshop, method: str) -> None:
    alone = labels() if method == "KTO" else pairs()
    spec = small(method, samples_interval=0, evaluation_interval=0)
    mixed = tuned(with_rows(schooled, FEEDBACK, held_out=[]), spec)
    assert mixed.curve == tuned(with_rows(schooled, alone, held_out=[]), spec).curve
    [note] = mixed.notes("rows")
    assert note.details["of_other_kinds"] == str(len(FEEDBACK) - len(alone))


def test_the_examples_of_a_feedback_set_are_learnt_like_completions(schooled: Workshop) -> None:
    spec = tuning_spec(steps=4, batch_size=1, micro_batch_size=1, samples_interval=0, evaluation_interval=0)
    plain = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in pairs()]
    story = tuned(with_rows(schooled, FEEDBACK, held_out=[]), spec)
    assert story.curve == tuned(with_rows(schooled, plain, held_out=[]), spec).curve
    [note] = story.notes("rows")
    assert (note.details["rows"], note.details["duplicates"]) == (str(len(NUMBERS)), "0")


def test_an_example_that_answers_a_conversation_is_learnt_and_its_prompt_is_not(tmp_path: pathlib.Path) -> None:
    schooled = workshop(tmp_path, base_steps=1, context_length=192)
    asked = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    rows = [{"kind": "example", "prompt": asked, "completion": "dd", "votes": ["v"]}] * 2
    rows[1] = rows[1] | {"completion": "eee"}
    spec = tuning_spec(steps=1, batch_size=1, micro_batch_size=1, samples_interval=0, evaluation_interval=0)
    story = tuned(with_rows(schooled, rows, held_out=[]), spec)
    [note] = story.notes("rows")
    assert int(note.details["tokens_counted"]) == sum(len(f"{said}<|im_end|>\n") + 1 for said in ("dd", "eee"))
    stored = base_model(model_artifact(story.complete), store=schooled.bench.store, scratch=schooled.bench.scratch)
    assert stored.tokenizer.chat_template


@pytest.mark.parametrize(("method", "rows"), [("DPO", FEEDBACK[-3:]), ("KTO", FEEDBACK[:3]), ("REWARD", labels())])
def test_rows_without_anything_for_the_method_are_refused(
    schooled: Workshop, method: str, rows: list[dict[str, Any]]
) -> None:
    with pytest.raises(UnusableData, match="the method takes .* It holds [0-9]+"):
        tuned(with_rows(schooled, rows, held_out=[]), small(method))


def test_a_prompt_longer_than_the_context_is_left_out_and_named(schooled: Workshop) -> None:
    long = {"prompt": "x" * 96, "chosen": "a", "rejected": "b"}
    story = tuned(with_rows(schooled, [*pairs()[:4], long, *pairs()[4:]], held_out=[]), small("DPO"))
    [note] = story.notes("prompts_too_long")
    assert "Rows: 5." in note.message
    assert story.notes("rows")[0].details["rows"] == str(len(NUMBERS))
    with pytest.raises(UnusableData, match="of row 1 the prompt alone fills 96 tokens"):
        tuned(with_rows(schooled, [long], held_out=[]), small("DPO"))


def test_the_end_of_an_answer_that_is_too_long_is_cut_off(schooled: Workshop) -> None:
    long = {"prompt": "x" * 90, "chosen": "a" * 20, "rejected": "b"}
    story = tuned(with_rows(schooled, [long, *pairs()], held_out=[]), small("DPO"))
    assert story.notes("rows_truncated")[0].details["truncated"] == "1"
    same = long | {"rejected": "a" * 6 + "b"}  # where they differ, neither is seen any more
    story = tuned(with_rows(schooled, [same, *pairs()], held_out=[]), small("DPO"))
    assert "Rows: 1." in story.notes("same_answers")[0].message


def test_saying_nothing_is_an_answer_and_asking_nothing_a_prompt(schooled: Workshop) -> None:
    rows = [{"prompt": word, "chosen": "", "rejected": " no?"} for word in ("", *NUMBERS)]
    spec = small("DPO", steps=30, samples_interval=0, checkpoint_interval=100, batch_size=11, micro_batch_size=11)
    curve = tuned(with_rows(schooled, rows, held_out=[]), spec).curve
    assert curve[30]["train/accuracy"] == 1.0
    assert curve[1]["train/chosen_logprob"] > curve[1]["train/rejected_logprob"]  # one token, the end


def test_pairs_that_say_the_same_count_once(schooled: Workshop) -> None:
    story = tuned(with_rows(schooled, [*pairs(), *pairs()], held_out=[]), small("DPO"))
    [note] = story.notes("rows")
    assert (note.details["rows"], note.details["duplicates"]) == (str(len(NUMBERS)), str(len(NUMBERS)))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"chosen": "a", "rejected": 3, "prompt": "p"}, "row 1, rejected: must be text"),
        ({"chosen": "a", "rejected": "b"}, "row 1, prompt: is missing"),
        ({"chosen": "a", "rejected": "b", "prompt": "p", "weight": -1}, "row 1, weight"),
        ({"chosen": "a", "rejected": "b", "prompt": "p", "weight": 1001}, "row 1, weight: .* from 0 to 1,000"),
        ({"chosen": "a", "rejected": "b", "prompt": "p", "weight": 10**400}, "row 1, weight"),
        (
            {"chosen": [{"role": "user", "content": "a"}], "rejected": "b", "prompt": "p"},
            "one message of the assistant",
        ),
        ({"kind": "pear", "chosen": "a", "rejected": "b", "prompt": "p"}, "row 1, kind: must be one of"),
    ],
)
def test_a_row_that_is_wrong_is_named(schooled: Workshop, row: dict[str, Any], words: str) -> None:
    with pytest.raises(UnusableData, match=words):
        tuned(with_rows(schooled, [row], held_out=[]), small("DPO"))


def test_labels_must_be_true_or_false(schooled: Workshop) -> None:
    with pytest.raises(UnusableData, match="row 1, label: must be true or false, not text"):
        tuned(with_rows(schooled, [{"prompt": "p", "completion": "c", "label": "good"}], held_out=[]), small("KTO"))


def test_labelled_answers_have_no_weight_whatever_lies_beside_them(schooled: Workshop) -> None:
    plain = tuned(with_rows(schooled, labels(), held_out=[]), small("KTO", steps=2))
    rows = [row | {"weight": "heavy" if row["label"] else 900} for row in labels()]
    assert tuned(with_rows(schooled, rows, held_out=[]), small("KTO", steps=2)).curve == plain.curve


def test_smoothing_next_tokens_is_refused(schooled: Workshop) -> None:
    rules = RegularizationSpec(label_smoothing=0.1)
    with pytest.raises(UnusableData, match="preference.label_smoothing"):
        tuned(shop_for(schooled, "DPO"), small("DPO", regularization=rules))


def test_early_stopping_goes_by_the_accuracy_of_pairs(schooled: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss gets worse from evaluation to evaluation; accuracy is best at the second one."""
    found = iter([(0.1, 0.5), (0.2, 0.9), (0.3, 0.9), (0.4, 0.8), (0.5, 0.9), (0.6, 0.9)])
    true_evaluate = comparing.evaluate_rows

    def evaluate(*arguments: Any, **options: Any) -> Any:
        yield from true_evaluate(*arguments, **options)
        loss, accuracy = next(found)
        return comparing.Evaluation(loss=loss, accuracy=accuracy)

    monkeypatch.setattr(comparing, "evaluate_rows", evaluate)
    rules = RegularizationSpec(early_stopping=EarlyStoppingSpec(patience=3))
    spec = small("DPO", steps=20, evaluation_interval=2, regularization=rules, samples_interval=0)
    story = tuned(shop_for(schooled, "DPO"), spec)
    [stopped], [published] = story.notes("stopped_early"), story.notes("best_published")
    assert story.complete.step == 11 and "highest held-out accuracy: 90.0%" in stopped.message
    assert published.details["step"] == "4"
    assert story.complete.validation_loss == pytest.approx(0.2)


def test_the_base_reads_only_what_steps_will(schooled: Workshop) -> None:
    rows = [{"prompt": f"{number} is", "chosen": " a", "rejected": " b"} for number in range(100)]
    shop = with_rows(schooled, rows[:-10], held_out=rows[-10:])
    spec = small("DPO", samples_interval=0)
    story = tuned(shop, spec)
    [note] = story.notes("reference")
    assert note.details["rows"] == str(4 * 4 + 5)  # steps by batch, and the sequences of an evaluation
    again = tuned(shop, spec, resume=resume_from(story.checkpoints[2]), recorded_step=2)
    assert not again.notes("reference")
    assert again.curve == later(story, 2)


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_rows_of_another_line_of_steps_are_compared_with_the_base_too(
    schooled: Workshop, lora: LoraSpec | None
) -> None:
    """Going back leads to other rows, of which the checkpoint knows nothing."""
    rows = [{"prompt": f"{number} is", "chosen": " a", "rejected": " b"} for number in range(100)]
    shop, spec = with_rows(schooled, rows[:-10], held_out=rows[-10:]), small("DPO", lora=lora, samples_interval=0)
    story = tuned(shop, spec, lineage=1)
    later_line = [tuned(shop, spec, resume=resume_from(story.checkpoints[2]), lineage=2) for _ in range(2)]
    assert later_line[0].curve == later_line[1].curve and later_line[0].notes("reference")
    assert later_line[0].chains != {at: chains for at, chains in story.chains.items() if at > 2}
    margins = [values["train/margin"] for values in later_line[0].curve.values()]
    assert all(abs(margin) < 10 for margin in margins)


@pytest.mark.parametrize(("method", "held_out", "passes"), [("DPO", HELD_OUT, 1), ("KTO", 2 * HELD_OUT, 2)])
def test_each_micro_batch_of_the_reference_and_of_evaluations_is_a_sign_of_life(
    schooled: Workshop, method: str, held_out: int, passes: int
) -> None:
    """Of a large model on a CPU, one may take a minute."""
    found = []
    for size in (4, 1):
        story = tuned(shop_for(schooled, method), small(method, steps=1, micro_batch_size=size))
        sections = [told.section for told in story.of(pipe_pb2.Progress)]
        found.append([sections.count(section) for section in (pipe_pb2.SECTION_LOAD, pipe_pb2.SECTION_EVALUATE)])
    more = held_out - -(-held_out // 4)
    (loading, evaluating), (loading_each, evaluating_each) = found
    assert loading_each - loading == 4 - 1 + more, "the one step reads four rows"
    assert evaluating_each - evaluating == passes * more


def test_a_reference_that_is_not_for_the_rows_is_a_bad_checkpoint(
    schooled: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, spec = shop_for(schooled, "DPO"), small("DPO")
    story = tuned(shop, spec)
    monkeypatch.setattr("trainer_worker.trainer.reference.read_tensors", lambda path: {"training": torch.zeros(3, 2)})
    with pytest.raises(BadCheckpoint, match="not for the rows"):
        tuned(shop, spec, resume=resume_from(story.checkpoints[2]))


def test_several_datasets_are_blended(schooled: Workshop) -> None:
    shop = shop_for(schooled, "DPO")
    other = with_rows(schooled, FEEDBACK, held_out=[]).dataset
    other.weight = 3.0
    story = tuned(shop, small("DPO", batch_size=8), mixture=[other])
    assert len(story.notes("rows")) == 2
    spec, place = small("DPO", batch_size=8), resume_from(story.checkpoints[2])
    again = tuned(shop, spec, mixture=[other], resume=place, recorded_step=2)
    assert again.curve == later(story, 2)


@pytest.mark.parametrize("method", ["DPO", "REWARD"])
def test_steps_are_computed_again_by_verification(schooled: Workshop, method: str) -> None:
    shop, spec = shop_for(schooled, method), small(method, samples_interval=0)
    story = tuned(shop, spec)
    assignment = workers_pb2.Assignment(
        attempt=workers_pb2.Attempt(job_uid="check", epoch=1),
        job="projects/p/jobs/check",
        verification=workers_pb2.Verification(fine_tune=spec, recorded=story.recorded),
        dataset=shop.dataset,
        base=shop.base,
        checkpoint_prefix=f"checkpoints/check/{method.lower()}",
        resume=resume_from(story.checkpoints[1]),
    )
    told = Story.of_recipe(verify(assignment, store=shop.bench.store, scratch=shop.bench.scratch))
    assert [note.kind for note in told.of(jobs_pb2.Note) if note.kind in ("verified", "differs")] == ["verified"]


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_a_reward_model_scores_and_says_what_it_is(schooled: Workshop, lora: LoraSpec | None) -> None:
    shop = shop_for(schooled, "REWARD")
    story = tuned(shop, small("REWARD", steps=20, lora=lora, checkpoint_interval=10))
    folder = shop.bench.files(story.complete)
    assert json.loads((folder / "config.json").read_text())["head"] == "reward"
    assert load_file(folder / "model.safetensors")["head.weight"].shape == (1, 16)
    assert not story.samples  # it has nothing to say
    base = shop.base if lora else None
    for written in (story.complete, story.checkpoints[10]):
        artifact = model_artifact(written, base=base)
        model, tokenizer = reward_model(artifact, store=shop.bench.store, scratch=shop.bench.scratch)
        with pytest.raises(UnusableData, match="is a reward model"):
            base_model(artifact, store=shop.bench.store, scratch=shop.bench.scratch)
    with pytest.raises(BadCheckpoint, match="is a reward model"):
        load_model(folder)
    assert isinstance(model, RewardModel)
    prompts = [Prompt(number, text=row["prompt"]) for number, row in enumerate(pairs(), start=1)]
    good, bad = (
        result_of(score_texts(model, tokenizer, prompts, [row[key] for row in pairs()]))
        for key in ("chosen", "rejected")
    )
    assert good.dtype == torch.float32 and bool((good > bad).all())
    with pytest.raises(UnusableData, match="row 7: the prompt alone fills"):
        result_of(score_texts(model, tokenizer, [Prompt(7, text="x" * 96)], ["a"]))


@pytest.mark.parametrize("format_", [training_pb2.EXPORT_FORMAT_HUGGING_FACE, training_pb2.EXPORT_FORMAT_PEFT])
def test_a_reward_model_is_not_exported(schooled: Workshop, format_: "training_pb2.ExportFormat.ValueType") -> None:
    shop = shop_for(schooled, "REWARD")
    story = tuned(shop, small("REWARD", lora=LORA, steps=1))
    assignment = workers_pb2.Assignment(
        attempt=workers_pb2.Attempt(job_uid="export", epoch=1),
        export_model=training_pb2.ExportModelSpec(model="projects/p/models/m/versions/1", format=format_),
        base=model_artifact(story.complete, base=shop.base),
        checkpoint_prefix="checkpoints/export/e1",
    )
    with pytest.raises(UnusableData, match="is a reward model"):
        Story.of_recipe(export_model(assignment, store=shop.bench.store, scratch=shop.bench.scratch))


def test_a_reward_model_can_learn_on_and_nothing_else_begins_with_one(schooled: Workshop) -> None:
    shop = shop_for(schooled, "REWARD")
    first = tuned(shop, small("REWARD", steps=20))
    base = model_artifact(first.complete)
    second = tuned(shop, small("REWARD"), base=base)
    assert second.curve[1]["train/margin"] == pytest.approx(first.curve[20]["train/margin"], rel=0.5)
    with pytest.raises(UnusableData, match="is a reward model"):
        tuned(shop, small("DPO"), base=base)
