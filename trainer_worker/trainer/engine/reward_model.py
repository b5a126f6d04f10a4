"""Reward models: a decoder that scores a text instead of predicting what follows it.

Its files are those of any stored model, but that config.json says `"head": "reward"`, and that in the place of the
output weight there is `head.weight`, of shape (1, D).

    N texts   X positions of all rows   D width
"""

import contextlib
import dataclasses
from collections.abc import Generator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from trainer_worker.trainer.engine.answers import AnswerRows, Layout, Lesson
from trainer_worker.trainer.engine.chat import CHATML
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.model_config import ModelConfig
from trainer_worker.trainer.engine.preference_rows import AnswerEncoder, Gathered, Judged
from trainer_worker.trainer.engine.prompts import Prompt
from trainer_worker.trainer.engine.tokenizers import Tokenizer

HEAD = "reward"
TEXTS_AT_ONCE = 16


class RewardModel(Decoder):
    """A decoder whose head gives one number: how good a text is, read where it ends. There is no output weight."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(dataclasses.replace(config, tied_head=True))
        self.head = nn.Linear(config.width, 1, bias=False)

    def scores(self, hidden_XD: Tensor) -> Tensor:
        """The score of the text up to each position. Shape (X,), float32 at least."""
        scores_X: Tensor = self.head(hidden_XD).squeeze(-1)
        return scores_X if scores_X.dtype == torch.float64 else scores_X.float()

    def unembed(self, hidden_BTD: Tensor) -> Tensor:
        """Raises: UnusableData always: it predicts no tokens."""
        raise not_for_text("this model")


def not_for_text(name: str) -> UnusableData:
    return UnusableData(f"{name} is a reward model: it scores texts, and predicts none")


def with_reward_head(model: Decoder, *, seed: int) -> RewardModel:
    """The same decoder with a new head, in the place of its output weight. The given one is used up.

    Source of the deviation of the new head: Stiennon et al. 2020, arXiv 2009.01325, appendix B.1.
    """
    if isinstance(model, RewardModel):
        return model
    weights = {name: tensor for name, tensor in model.state_dict().items() if name != "head.weight"}
    generator = torch.Generator().manual_seed(seed)
    deviation = (model.config.width + 1) ** -0.5
    weights["head.weight"] = torch.empty(1, model.config.width).normal_(0.0, deviation, generator=generator)
    with torch.device("meta"):
        scoring = RewardModel(model.config)
    scoring.load_state_dict(weights, assign=True)
    scoring.lay_rotary_tables()
    return scoring


def layout_for_scores(config: ModelConfig, *, padding: int) -> Layout:
    return Layout(padding=padding, shared=shares_prompts(config), whole=True)


def shares_prompts(config: ModelConfig) -> bool:
    """Whether answers to a prompt may share it: what near layers see is counted in places, where answers lie apart."""
    return config.sliding_window is None or config.sliding_window >= config.context_length


def score_texts(
    model: RewardModel, tokenizer: Tokenizer, prompts: Sequence[Prompt], answers: Sequence[str]
) -> Generator[None, None, Tensor]:
    """How good each answer to its prompt is, as the model sees it. Returns shape (N,), float32, on the CPU.

    Yields nothing after each batch, a sign of life. A conversation is for the chat template of the tokenizer. An answer
    that is too long is scored up to where the context ends. The score of a text does not depend on the others, but for
    its last bits. Raises: UnusableData with the row of a prompt that alone fills the context, or fails the template.
    """
    rows = scored_rows(model.config, tokenizer, prompts, answers)
    lesson = Lesson(rows, np.arange(len(rows)), layout_for_scores(model.config, padding=tokenizer.end_of_text))
    device, training = model.embedding.weight.device, model.training
    scores_N = torch.empty(len(rows))
    model.eval()
    for part in lesson.parts(TEXTS_AT_ONCE):
        moved = part.to(device)
        with torch.inference_mode():
            hidden_BTD = model.hidden(moved.batch.tokens_BT, **moved.batch.places)
            scores_N[part.places] = model.scores(hidden_BTD.flatten(0, 1)[moved.end_A]).cpu()
        yield
    model.train(training)
    return scores_N


def scored_rows(
    config: ModelConfig, tokenizer: Tokenizer, prompts: Sequence[Prompt], answers: Sequence[str]
) -> AnswerRows:
    """The tokens of texts to be scored, one row each. Raises: UnusableData."""
    judged = [
        Judged(prompt.number, prompt.messages or prompt.text, (answer,))
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    template = tokenizer.chat_template
    gathered = Gathered(config.context_length)
    with contextlib.closing(AnswerEncoder(tokenizer, None if template == CHATML else template)) as encoder:
        for row, segments in zip(judged, encoder.encode(judged), strict=True):
            gathered.add(row, segments)
    if gathered.prompts_too_long:
        number = gathered.prompts_too_long[0]
        message = f"row {number}: the prompt alone fills all {config.context_length:,} tokens of the reward model"
        raise UnusableData(message, help="Shorten the prompt, or score by a model with a longer context.")
    return gathered.finished(answers=1)
