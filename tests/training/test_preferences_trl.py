"""Losses and gradients of learning from preferences are those of TRL, on the same small model and rows.

P rows   2 a pair: chosen, rejected
"""

import pathlib
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.training.peers import SMALL, llama_weights, small_decoder, transformers_twin
from trainer_worker.trainer.comparing import lesson_logprobs
from trainer_worker.trainer.engine.answers import AnswerRows, Layout, Lesson
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.precision import LossScaler
from trainer_worker.trainer.engine.preference_loss import chosen_loss, odds_ratio_loss, orpo_loss
from trainer_worker.trainer.engine.preference_rows import with_strange_answers
from trainer_worker.trainer.engine.reward_model import RewardModel, with_reward_head
from trainer_worker.trainer.recipes import kto, preferences, reward
from trainer_worker.trainer.run import Found
from tutelage.v1 import training_pb2
from tutelage.v1.training_pb2 import PreferenceSpec

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")
transformers = pytest.importorskip("transformers")

PADDING, END = 0, 2
PROMPTS = [[5, 9, 11, 20], [7, 8], [30], [12, 13, 14]]
CHOSEN = [[3, 4, 5, END], [6, END], [10, 11, 12, 13, 14, END], [41, END]]
REJECTED = [[21, 22, END], [23, 24, 25, 26, END], [END], [42, 43, END]]
LABELS = [True, False, False, True]
DPO, IPO, SIMPO, ORPO = (getattr(training_pb2, f"METHOD_{name}") for name in ("DPO", "IPO", "SIMPO", "ORPO"))


def rows_of(*answers: list[list[int]], rows: slice = slice(None)) -> AnswerRows:
    """Each prompt with its answers."""
    together = list(zip(PROMPTS, *answers, strict=True))[rows]
    segments = [segment for row in together for segment in row]
    return AnswerRows(
        tokens=np.array([token for segment in segments for token in segment], np.uint32),
        begins=np.concatenate(([0], np.cumsum([len(segment) for segment in segments]))),
        numbers=np.arange(1, len(together) + 1),
        weights=np.ones(len(together), np.float32),
        labels=np.array(LABELS[rows]),
        answers=len(answers),
    )


def lesson_of(rows: AnswerRows, *, shared: bool, whole: bool = False) -> Lesson:
    return Lesson(rows, np.arange(len(rows)), Layout(PADDING, shared=shared, whole=whole))


def moved(model: Decoder, *, by: float = 0.02, seed: int = 1) -> Decoder:
    """The base that a model has come away from."""
    other, generator = small_decoder(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for mine, weight in zip(other.parameters(), model.parameters(), strict=True):
            mine.copy_(weight + by * torch.empty(weight.shape).normal_(generator=generator))
    return other


def run_of(model: Decoder, base: Decoder | None, lesson: Lesson, spec: training_pb2.FineTuneSpec) -> Any:
    """As much of a run as a step needs."""
    run: Any = SimpleNamespace(
        spec=spec,
        model=model,
        device=torch.device("cpu"),
        scaler=LossScaler("fp32"),
        state=SimpleNamespace(precision="fp32", micro_batch_size=3),
        predict=lambda batch: model.hidden(batch.tokens_BT, **batch.places),
        reference=None,
    )
    if base is not None:
        run.reference = SimpleNamespace(training=lesson_logprobs(run, base, lesson))
    return run


def ours(method: Any, model: Decoder, base: Decoder | None, lesson: Lesson, spec: training_pb2.FineTuneSpec) -> Found:
    """What a step finds; its gradient is left in the model."""
    model.zero_grad()
    found: Found = method.forward_and_backward(run_of(model, base, lesson, spec), lesson)
    return found


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {f"w{number}": number for number in range(SMALL.vocabulary_size)}
    inner = Tokenizer(models.WordLevel(words, unk_token="w1"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="w0", eos_token="w2", unk_token="w1")


@pytest.fixture
def settings(tmp_path: pathlib.Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """What all of their trainers are told."""

    def common(config: Any, **special: Any) -> dict[str, Any]:
        options: dict[str, Any] = {"gradient_checkpointing": False, "use_cpu": True, "bf16": False, "report_to": []}
        options |= {"per_device_train_batch_size": len(PROMPTS), "output_dir": str(tmp_path), "max_length": None}
        return {"args": config(**options | special), "processing_class": tokenizer()}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield common


PAIRS = [
    {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}
    for prompt, chosen, rejected in zip(PROMPTS, CHOSEN, REJECTED, strict=True)
]
WORDS = {"prompt": "w5", "chosen": "w6", "rejected": "w7"}


def assert_same_gradients(model: Decoder, twin: Any) -> None:
    named, expected = dict(twin.named_parameters()), gradients_as_theirs(model)
    assert expected
    for name, gradient in expected.items():
        torch.testing.assert_close(gradient, named[name].grad, rtol=5e-4, atol=5e-6)


def gradients_as_theirs(model: Decoder) -> dict[str, Tensor]:
    """Our gradients under their names: weights are renamed and cut, and so are their gradients."""
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.grad)
        found = {name: tensor.clone() for name, tensor in llama_weights(model).items()}
        for name, weight in model.named_parameters():
            weight.copy_(weights[name])
    return found


WITH_REFERENCE = {
    "dpo": (DPO, PreferenceSpec(beta=0.3), {"loss_type": ["sigmoid"], "beta": 0.3}, slice(None)),
    "ipo": (IPO, PreferenceSpec(beta=0.2), {"loss_type": ["ipo"], "beta": 0.2}, slice(None)),
    # Theirs is the mean over the tokens of the batch, ours over pairs: the same for one pair.
    "dpo and the answer itself": (
        DPO,
        PreferenceSpec(beta=0.3, sft_weight=0.7),
        {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.7], "beta": 0.3},
        slice(1),
    ),
}


@pytest.mark.parametrize("shared", [True, False], ids=["prompt shared", "prompt twice"])
@pytest.mark.parametrize("kind", WITH_REFERENCE)
def test_losses_of_pairs_with_a_reference_are_those_of_trl(
    settings: Callable[..., dict[str, Any]], kind: str, shared: bool
) -> None:
    method, preference, options, rows = WITH_REFERENCE[kind]
    model = small_decoder()
    base = moved(model)
    twin, base_twin = transformers_twin(model), transformers_twin(base)
    trainer = trl.DPOTrainer(
        model=twin,
        ref_model=base_twin,
        train_dataset=datasets.Dataset.from_list([WORDS]),
        **settings(trl.DPOConfig, **options),
    )
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, trainer.data_collator(PAIRS[rows]))
    loss.backward()
    spec = training_pb2.FineTuneSpec(method=method, preference=preference)
    found = ours(preferences, model, base, lesson_of(rows_of(CHOSEN, REJECTED, rows=rows), shared=shared), spec)
    assert found.loss.item() == pytest.approx(loss.item(), rel=2e-5)
    assert_same_gradients(model, twin)
    theirs = trainer._metrics["train"]
    for name, key in {"margin": "margins", "accuracy": "accuracies", "chosen_reward": "chosen"}.items():
        assert found.metrics[f"train/{name}"].item() == pytest.approx(theirs[f"rewards/{key}"][0], abs=2e-5)
    assert found.metrics["train/rejected_logprob"].item() == pytest.approx(theirs["logps/rejected"][0], rel=1e-5)


def test_smoothed_dpo_is_the_formula(settings: Callable[..., dict[str, Any]]) -> None:
    """TRL has dropped it. One pair in ten the wrong way round costs the losses of both ways by their shares."""
    model = small_decoder()
    base, lesson = moved(model), lesson_of(rows_of(CHOSEN, REJECTED), shared=True)
    swapped = lesson_of(rows_of(REJECTED, CHOSEN), shared=True)

    def gradient(lesson: Lesson, **fields: float) -> tuple[float, Tensor]:
        spec = training_pb2.FineTuneSpec(method=DPO, preference=PreferenceSpec(beta=0.3, **fields))
        loss = ours(preferences, model, base, lesson, spec).loss.item()
        return loss, torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])

    smoothed = gradient(lesson, label_smoothing=0.1)
    right, wrong = gradient(lesson), gradient(swapped)
    assert smoothed[0] == pytest.approx(0.9 * right[0] + 0.1 * wrong[0], rel=1e-5)
    torch.testing.assert_close(smoothed[1], 0.9 * right[1] + 0.1 * wrong[1], rtol=1e-4, atol=1e-6)


def old_inputs(rows: slice) -> dict[str, Tensor]:
    """A batch as their older trainers of pairs want it."""
    found = {}
    for name, answers in (("chosen", CHOSEN), ("rejected", REJECTED)):
        texts = [(prompt, answer) for prompt, answer in zip(PROMPTS, answers, strict=True)][rows]
        longest = max(len(prompt) + len(answer) for prompt, answer in texts)
        filler = [longest - len(prompt) - len(answer) for prompt, answer in texts]
        both = list(zip(texts, filler, strict=True))
        found[f"{name}_input_ids"] = torch.tensor([[*p, *a, *[PADDING] * more] for (p, a), more in both])
        found[f"{name}_labels"] = torch.tensor([[*[-100] * len(p), *a, *[-100] * more] for (p, a), more in both])
        found[f"{name}_attention_mask"] = torch.tensor([[1] * len(p + a) + [0] * more for (p, a), more in both])
    return found


def test_simpo_is_that_of_trl(settings: Callable[..., dict[str, Any]]) -> None:
    cpo = pytest.importorskip("trl.experimental.cpo")
    model = small_decoder()
    twin = transformers_twin(model)
    options = {"loss_type": "simpo", "beta": 2.5, "simpo_gamma": 1.2, "cpo_alpha": 0.0}
    rows = datasets.Dataset.from_list([WORDS])
    trainer = cpo.CPOTrainer(model=twin, train_dataset=rows, **settings(cpo.CPOConfig, **options))
    loss, metrics = trainer.get_batch_loss_metrics(trainer.model, old_inputs(slice(None)))
    loss.backward()
    spec = training_pb2.FineTuneSpec(method=SIMPO, preference=PreferenceSpec(beta=2.5, margin=1.2))
    found = ours(preferences, model, None, lesson_of(rows_of(CHOSEN, REJECTED), shared=True), spec)
    assert found.loss.item() == pytest.approx(loss.item(), rel=2e-5)
    assert found.metrics["train/margin"].item() == pytest.approx(metrics["rewards/margins"], rel=2e-5)
    assert_same_gradients(model, twin)


def test_orpo_is_that_of_trl(settings: Callable[..., dict[str, Any]]) -> None:
    """Theirs learns the prompt as well, and means over the tokens of the batch: the same for one pair whose prompt is
    one token, which nothing comes before."""
    orpo = pytest.importorskip("trl.experimental.orpo")
    model, one = small_decoder(), slice(2, 3)
    twin = transformers_twin(model)
    rows = datasets.Dataset.from_list([WORDS])
    trainer = orpo.ORPOTrainer(model=twin, train_dataset=rows, **settings(orpo.ORPOConfig, beta=0.4))
    loss, metrics = trainer.get_batch_loss_metrics(trainer.model, old_inputs(one))
    loss.backward()
    spec = training_pb2.FineTuneSpec(method=ORPO, preference=PreferenceSpec(beta=0.4))
    found = ours(preferences, model, None, lesson_of(rows_of(CHOSEN, REJECTED, rows=one), shared=True), spec)
    assert found.loss.item() == pytest.approx(loss.item(), rel=2e-5)
    assert found.metrics["train/margin"].item() == pytest.approx(metrics["rewards/margins"], rel=2e-4)
    assert_same_gradients(model, twin)


def test_the_odds_of_orpo_are_those_of_trl_for_all_pairs(settings: Callable[..., dict[str, Any]]) -> None:
    orpo = pytest.importorskip("trl.experimental.orpo")
    model = small_decoder()
    twin = transformers_twin(model)
    rows = datasets.Dataset.from_list([WORDS])
    trainer = orpo.ORPOTrainer(model=twin, train_dataset=rows, **settings(orpo.ORPOConfig, beta=1.0))
    chosen, rejected = trainer.concatenated_forward(trainer.model, old_inputs(slice(None)))[:2]
    theirs = -trainer.odds_ratio_loss(chosen, rejected)[0]
    lesson = lesson_of(rows_of(CHOSEN, REJECTED), shared=True)
    run = run_of(model, None, lesson, training_pb2.FineTuneSpec())
    policy_P2, sizes_P2 = lesson_logprobs(run, model, lesson), torch.from_numpy(lesson.rows.lengths()[:, 1:])
    torch.testing.assert_close(odds_ratio_loss(policy_P2 / sizes_P2), theirs.detach(), rtol=1e-5, atol=1e-6)
    whole = orpo_loss(policy_P2, sizes_P2, beta=0.3)
    torch.testing.assert_close(whole, chosen_loss(policy_P2, sizes_P2) + 0.3 * theirs.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("above", [False, True], ids=["strange answers less likely", "more likely"])
def test_kto_is_that_of_trl(settings: Callable[..., dict[str, Any]], above: bool) -> None:
    """Less likely than under the base, they count as if nothing had changed."""
    first = small_decoder()
    second = moved(first, by=0.1)
    model, base = (first, second) if above else (second, first)
    twin, base_twin = transformers_twin(model), transformers_twin(base)
    options = {"beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.5, "loss_type": "kto"}
    trainer = trl.KTOTrainer(
        model=twin,
        ref_model=base_twin,
        train_dataset=datasets.Dataset.from_list([{"prompt": "w5", "completion": "w6", "label": True}] * 4),
        **settings(trl.KTOConfig, **options),
    )
    trainer.model.train()
    rows = with_strange_answers(rows_of(CHOSEN), context_length=SMALL.context_length)
    theirs = [
        {"prompt_ids": prompt.tolist(), "completion_ids": own.tolist(), "KL_completion_ids": strange.tolist()}
        | {"label": bool(rows.labels[row])}
        for row in range(len(rows))
        for prompt, own, strange in [rows.segments(row)]
    ]
    loss = trainer.compute_loss(trainer.model, trainer.data_collator(theirs))
    loss.backward()
    fields = {"beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.5}
    spec = training_pb2.FineTuneSpec(method=training_pb2.METHOD_KTO, preference=PreferenceSpec(**fields))
    found = ours(kto, model, base, lesson_of(rows, shared=True), spec)
    assert found.loss.item() == pytest.approx(loss.item(), rel=2e-5)
    assert_same_gradients(model, twin)
    metrics = trainer._metrics["train"]
    assert found.metrics["train/kl"].item() == pytest.approx(metrics["kl"][0], rel=1e-4, abs=1e-6)
    assert (metrics["kl"][0] > 0) == above


@pytest.mark.parametrize("shared", [True, False], ids=["prompt shared", "prompt twice"])
def test_the_reward_loss_is_that_of_trl(settings: Callable[..., dict[str, Any]], shared: bool) -> None:
    model = with_reward_head(small_decoder(), seed=3)
    twin = scoring_twin(model)
    rows = datasets.Dataset.from_list([WORDS])
    trainer = trl.RewardTrainer(model=twin, train_dataset=rows, **settings(trl.RewardConfig))
    trainer.model.train()
    whole = [
        {f"{name}_ids": row["prompt_ids"] + row[f"{name}_ids"] for name in ("chosen", "rejected")} for row in PAIRS
    ]
    loss = trainer.compute_loss(trainer.model, trainer.data_collator(whole))
    loss.backward()
    spec = training_pb2.FineTuneSpec(method=training_pb2.METHOD_REWARD)
    lesson = lesson_of(rows_of(CHOSEN, REJECTED), shared=shared, whole=True)
    found = ours(reward, model, None, lesson, spec)
    assert found.loss.item() == pytest.approx(loss.item(), rel=2e-5)
    assert found.metrics["train/margin"].item() == pytest.approx(trainer._metrics["train"]["margin"][0], abs=2e-5)
    assert_same_gradients(model, twin)
    torch.testing.assert_close(model.head.weight.grad, twin.score.weight.grad, rtol=5e-4, atol=5e-6)


def scoring_twin(model: RewardModel) -> Any:
    """A classifier of `transformers` with one class, and the same weights."""
    plain = small_decoder()
    plain.load_state_dict({name: tensor for name, tensor in model.state_dict().items() if name != "head.weight"})
    inner = transformers_twin(plain)
    inner.config.num_labels, inner.config.pad_token_id = 1, PADDING
    twin = transformers.LlamaForSequenceClassification(inner.config).eval()
    twin.model.load_state_dict(inner.model.state_dict())
    twin.score.load_state_dict({"weight": model.head.weight.detach()})
    return twin


def test_weights_of_rows_scale_their_losses() -> None:
    model, spec = small_decoder(), training_pb2.FineTuneSpec(method=DPO)
    base, rows = moved(model), rows_of(CHOSEN, REJECTED)
    rows.weights[:] = [0.0, 2.0, 0.5, 1.0]
    found = ours(preferences, model, base, lesson_of(rows, shared=True), spec)
    assert found.loss.item() == pytest.approx(float((found.losses * torch.from_numpy(rows.weights)).mean()), rel=1e-6)
    kept = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
    only = rows_of(CHOSEN, REJECTED, rows=slice(1, None))
    only.weights[:] = rows.weights[1:] * 3 / 4
    ours(preferences, model, base, lesson_of(only, shared=True), spec)
    for one, other in zip(kept, [weight.grad for weight in model.parameters()], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_log_probabilities_are_those_of_a_plain_pass() -> None:
    model = small_decoder()
    lesson = lesson_of(rows_of(CHOSEN, REJECTED), shared=True)
    found_P2 = lesson_logprobs(run_of(model, None, lesson, training_pb2.FineTuneSpec()), model, lesson)
    for row, (prompt, *answers) in enumerate(zip(PROMPTS, CHOSEN, REJECTED, strict=True)):
        for number, answer in enumerate(answers):
            tokens_T = torch.tensor([*prompt, *answer])
            with torch.no_grad():
                losses_T = functional.cross_entropy(model(tokens_T[None, :-1])[0], tokens_T[1:], reduction="none")
            assert found_P2[row, number].item() == pytest.approx(-losses_T[len(prompt) - 1 :].sum().item(), rel=1e-5)
