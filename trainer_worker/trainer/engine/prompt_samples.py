"""Prompts to learn from: read, checked, made into tokens, and put in the order of training."""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Generator, Sequence

import numpy as np

from artifacts import Store
from trainer_worker.trainer.engine.chat import CHATML
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.mixture import Mixture
from trainer_worker.trainer.engine.order import shuffled
from trainer_worker.trainer.engine.prompts import Asking, Prompt, fitting_tokens, read_prompts
from trainer_worker.trainer.engine.samples import EXCERPT_CHARACTERS_MAX, Origin, evenly
from trainer_worker.trainer.engine.text import fetch_file
from trainer_worker.trainer.engine.tokenizers import Tokenizer
from trainer_worker.trainer.engine.training_data import Remark, require_rows, training_spec
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import workers_pb2

PROMPTS_BETWEEN_SIGNS = 1000


@dataclasses.dataclass(frozen=True)
class PromptTokens:
    """A prompt, and the tokens that a model goes on from."""

    prompt: Prompt
    tokens: tuple[int, ...]


class PromptSamples:
    """Prompts of one part of a dataset. Each is a sequence of its own."""

    def __init__(self, prompts: Sequence[PromptTokens], *, context_length: int, dataset: str = "") -> None:
        self.prompts, self.context_length, self._dataset = prompts, context_length, dataset
        self.count = len(prompts)
        self.tokens = sum(len(one.tokens) for one in prompts)

    def read(self, indices: np.ndarray) -> list[PromptTokens]:
        return [self.prompts[index] for index in indices]

    def order(self, samples: np.ndarray, *, seed: int) -> np.ndarray:
        return shuffled(samples, count=self.count, seed=seed)

    def spread(self, sequences: int) -> np.ndarray:
        return evenly(self.count, sequences)

    def origin(self, index: int, place: int) -> Origin:
        prompt = self.prompts[index].prompt
        return Origin(self._dataset, row=prompt.number, token=place, excerpt=said(prompt)[:EXCERPT_CHARACTERS_MAX])


class MixedPrompts(Mixture):
    """Those of several datasets, each with its share."""

    def read(self, indices: np.ndarray) -> list[PromptTokens]:  # type: ignore[override] # no batch of tokens
        owners = np.searchsorted(self._begins, indices, side="right") - 1
        return [
            self.parts[owner].read(np.array([index - self._begins[owner]]))[0]
            for owner, index in zip(owners, indices, strict=True)
        ]


Prompts = PromptSamples | MixedPrompts
Parts = tuple[list[PromptTokens], list[PromptTokens]]


def said(prompt: Prompt) -> str:
    """The prompt in a text, for people."""
    return str(prompt.messages[-1]["content"]) if prompt.messages else prompt.text


def prepare_prompts(
    assignment: workers_pb2.Assignment,
    *,
    tokenizer: Tokenizer,
    context_length: int,
    store: Store,
    scratch: pathlib.Path,
) -> Generator[Remark | None, None, tuple[Prompts, Prompts, str]]:
    """Fetches and checks the datasets of an assignment.

    Yields None as a sign of life, and remarks to be told. Returns the prompts to train on, those to evaluate on, and an
    opening for samples. The template of conversations becomes that of the tokenizer, and so of the model that is tuned.
    Raises: UnusableData with the row whose prompt is wrong or too long, or if there is none to train on.
    """
    rows = training_spec(assignment).rows
    found: list[Parts] = []
    weights: list[float] = []
    for part in (assignment.dataset, *assignment.mixture):
        found.append((yield from read_part(part, rows, tokenizer, context_length, store=store, scratch=scratch)))
        weights.append(part.weight or 1.0)
    weights[0] = 1.0
    names = [part.name for part in (assignment.dataset, *assignment.mixture)]
    training, validation = (
        blended([both[side] for both in found], weights, names, context_length=context_length) for side in (0, 1)
    )
    if not training.count:
        raise UnusableData(f"{names[0] or 'the dataset'} has no prompt in its training part")
    opening = next(said(one.prompt) for both in found for part in both[::-1] for one in part)
    return training, validation, opening[:2000]


def blended(
    parts: Sequence[list[PromptTokens]], weights: Sequence[float], names: Sequence[str], *, context_length: int
) -> Prompts:
    samples = [
        PromptSamples(part, context_length=context_length, dataset=name)
        for part, name in zip(parts, names, strict=True)
    ]
    there = [(one, weight) for one, weight in zip(samples, weights, strict=True) if one.count]
    if len(there) < 2:
        return there[0][0] if there else samples[0]
    return MixedPrompts([one for one, _ in there], [weight for _, weight in there])


def read_part(
    part: workers_pb2.DatasetArtifact,
    rows: training_pb2.RowsSpec,
    tokenizer: Tokenizer,
    context_length: int,
    *,
    store: Store,
    scratch: pathlib.Path,
) -> Generator[Remark | None, None, Parts]:
    """The prompts to train on and those held out; one that occurred before is left out. Raises: UnusableData."""
    require_rows(part)
    path = fetch_file(store, key=part.key, sha256=part.sha256, size_bytes=part.size_bytes, scratch=scratch)
    settled = rows.deduplicate if rows.HasField("deduplicate") else True
    both: Parts = ([], [])
    seen: set[str] = set()
    duplicates = 0
    with contextlib.closing(Asking(tokenizer, chat_template=rows.chat_template)) as asking:
        for prompt in read_prompts(path, format=part.format, kind=part.row_kind):
            if prompt.number % PROMPTS_BETWEEN_SIGNS == 1:
                yield None
            identity = json.dumps([prompt.text, prompt.messages], sort_keys=True)
            if settled and identity in seen:
                duplicates += 1
                continue
            seen.add(identity)
            tokens = fitting_tokens(prompt, asking, context_length=context_length, model="the run")
            both[prompt.number > part.train_rows].append(PromptTokens(prompt, tuple(tokens)))
            if prompt.messages:
                tokenizer.chat_template = rows.chat_template or tokenizer.chat_template or CHATML
    details = {"dataset": part.name, "rows": len(both[0]), "duplicates": duplicates}
    yield Remark("rows", f"{len(both[0]):,} prompts are answered to learn from.", details)
    return both
