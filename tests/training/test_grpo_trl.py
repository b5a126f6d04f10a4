"""Losses and gradients of GRPO are those of TRL, on the same model, answers and scores."""

import pathlib
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.peers import SMALL, llama_weights, small_decoder, transformers_twin
from trainer_worker.trainer.engine.answers import AnswerRows, Layout, Lesson
from trainer_worker.trainer.engine.group_policy import (
    PolicyRule,
    advantages,
    answer_means,
    token_logprobs,
    token_policy_losses,
)
from trainer_worker.trainer.engine.model import Decoder

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

PROMPTS = [[5, 9, 11, 20], [7, 8]]
ANSWERS = [[[3, 4, 5], [6], [10, 11, 12, 13, 14]], [[21, 22], [23, 24, 25, 26], [27]]]
SCORES = torch.tensor([[1.0, 0.0, 0.25], [0.5, 0.5, 2.0]])
PADDING = 0


def ours(model: Decoder, before: Decoder, base: Decoder, *, rule: PolicyRule, shared: bool) -> float:
    """The loss, after its gradient was left in the model."""
    part = one_part(shared=shared)
    policy_S, before_S, base_S = (logprobs(one, part, rule) for one in (model, before, base))
    advantage_S = advantages(SCORES)[part.places].flatten()[part.answer_S]
    losses = token_policy_losses(
        policy_S, before_S.detach(), base_S.detach() if rule.kl_weight else None, advantage_S, rule=rule
    )
    loss = answer_means(losses.losses_S, part).mean()
    loss.backward()
    return loss.item()


def one_part(*, shared: bool) -> Any:
    segments = [segment for prompt, group in zip(PROMPTS, ANSWERS, strict=True) for segment in (prompt, *group)]
    rows = AnswerRows(
        tokens=np.array([token for segment in segments for token in segment], np.uint32),
        begins=np.concatenate(([0], np.cumsum([len(segment) for segment in segments]))),
        numbers=np.arange(1, 3),
        weights=np.ones(2, np.float32),
        labels=np.zeros(2, bool),
        answers=3,
    )
    [part] = Lesson(rows, np.arange(2), Layout(PADDING, shared=shared)).parts(2)
    return part


def logprobs(model: Decoder, part: Any, rule: PolicyRule) -> Tensor:
    hidden_BTD = model.hidden(part.batch.tokens_BT, **part.batch.places)
    return token_logprobs(part, hidden_BTD, model, temperature=rule.temperature)


def trainer_of(twin: Any, folder: pathlib.Path, rule: PolicyRule) -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {f"w{number}": number for number in range(SMALL.vocabulary_size)}
    inner = Tokenizer(models.WordLevel(words, unk_token="w1"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="w0", eos_token="w2", unk_token="w1")
    arguments = trl.GRPOConfig(
        output_dir=str(folder),
        loss_type="grpo",
        scale_rewards="group",
        beta=0.0,  # or it would look for the base by a name
        epsilon=rule.clip_ratio,
        temperature=rule.temperature,
        num_generations=3,
        per_device_train_batch_size=6,
        use_cpu=True,
        bf16=False,
        report_to=[],
        gradient_checkpointing=False,
    )
    trainer = trl.GRPOTrainer(
        model=twin,
        args=arguments,
        processing_class=tokenizer,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        train_dataset=datasets.Dataset.from_list([{"prompt": "w5 w6"}] * 6),
    )
    trainer.beta = rule.kl_weight
    return trainer


def padded(rows: list[list[int]], *, left: bool) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows))
    tokens, mask = torch.full((len(rows), longest), PADDING), torch.zeros(len(rows), longest, dtype=torch.long)
    for number, row in enumerate(rows):
        there = slice(longest - len(row), longest) if left else slice(len(row))
        tokens[number, there], mask[number, there] = torch.tensor(row), 1
    return tokens, mask


def theirs(trainer: Any, before: Any, base: Any, *, scores: Tensor) -> float:
    prompts, prompt_mask = padded([prompt for prompt in PROMPTS for _ in range(3)], left=True)
    answers, answer_mask = padded([answer for group in ANSWERS for answer in group], left=False)
    centred = scores - scores.mean(1, keepdim=True)
    inputs = {
        "prompt_ids": prompts,
        "prompt_mask": prompt_mask,
        "completion_ids": answers,
        "completion_mask": answer_mask,
        "advantages": (centred / (scores.std(1, keepdim=True) + 1e-4)).flatten(),
    }
    tokens, mask = torch.cat([prompts, answers], dim=1), torch.cat([prompt_mask, answer_mask], dim=1)
    temperature = trainer.args.temperature

    def believed(model: Any) -> Tensor:
        places = (mask.cumsum(1) - 1).clamp(min=0)
        with torch.no_grad():
            logits = model(input_ids=tokens, attention_mask=mask, position_ids=places).logits / temperature
        found = torch.log_softmax(logits[:, :-1], -1).gather(2, tokens[:, 1:, None])[..., 0]
        return found[:, -answers.shape[1] :]

    inputs |= {"old_per_token_logps": believed(before), "ref_per_token_logps": believed(base)}
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    return float(loss.item())


def moved(model: Decoder, *, by: float, seed: int) -> Decoder:
    other = small_decoder()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for mine, weight in zip(other.parameters(), model.parameters(), strict=True):
            mine.copy_(weight + by * torch.empty(weight.shape).normal_(generator=generator))
    return other


RULES = {
    "plain": PolicyRule(kl_weight=0.0),
    "close to the base": PolicyRule(kl_weight=0.5),
    "narrow": PolicyRule(clip_ratio=0.01),
    "cold": PolicyRule(temperature=0.7, kl_weight=0.3),
    "hot": PolicyRule(temperature=1.6),
}


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("updated", [False, True], ids=["first update", "later update"])
def test_loss_and_gradient_are_those_of_trl(tmp_path: pathlib.Path, kind: str, updated: bool) -> None:
    rule, model = RULES[kind], small_decoder()
    base = moved(model, by=0.02, seed=1)
    before = moved(model, by=0.02, seed=2) if updated else model
    twin, before_twin, base_twin = (transformers_twin(one) for one in (model, before, base))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = trainer_of(twin, tmp_path, rule)
        their_loss = theirs(trainer, before_twin, base_twin, scores=SCORES)
    named = dict(twin.named_parameters())
    for shared in (True, False):
        model.zero_grad()
        assert ours(model, before, base, rule=rule, shared=shared) == pytest.approx(their_loss, abs=1e-5)
        expected = gradients_as_theirs(model)
        for name, gradient in expected.items():
            torch.testing.assert_close(gradient, named[name].grad, rtol=2e-4, atol=2e-6)


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


def test_advantages_compare_within_the_group() -> None:
    found = advantages(torch.tensor([[0.0, 1.0, 0.0, 1.0], [3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 0.0, 8.0]]))
    assert found[0].tolist() == pytest.approx([-0.866, 0.866, -0.866, 0.866], abs=1e-3)
    assert found[1].tolist() == [0.0] * 4
    assert found[2].tolist() == pytest.approx([-0.5, -0.5, -0.5, 1.5], abs=1e-3)


def test_a_ratio_beyond_the_bounds_teaches_nothing_more() -> None:
    policy_S = torch.tensor([0.5, -0.5, 0.5, -0.5], requires_grad=True)
    advantage_S = torch.tensor([1.0, 1.0, -1.0, -1.0])
    losses = token_policy_losses(policy_S, torch.zeros(4), None, advantage_S, rule=PolicyRule(clip_ratio=0.2))
    losses.losses_S.sum().backward()
    assert losses.clipped_S.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert policy_S.grad is not None
    assert (policy_S.grad != 0).tolist() == [False, True, True, False]
    assert losses.divergence_S.tolist() == [0.0] * 4
