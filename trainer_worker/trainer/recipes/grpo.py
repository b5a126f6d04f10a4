"""GRPO: the model answers prompts, and learns from how its answers score beside one another.

Source: Shao et al. 2024, arXiv 2402.03300, section 4.1, with scores of whole answers (4.1.2).

P prompts of a step   G answers to each   A answers of a part   S tokens of these answers
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Generator, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from trainer_worker.trainer.answer_runs import leave_uncompiled
from trainer_worker.trainer.comparing import settings_of, tuning
from trainer_worker.trainer.engine.answers import AnswerRows, Layout, Lesson, Part
from trainer_worker.trainer.engine.draw import Answer, Asked, Drawer, Manner, NotFinite
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.evaluate import Evaluation
from trainer_worker.trainer.engine.generate import DrawRule
from trainer_worker.trainer.engine.group_policy import (
    PolicyRule,
    TokenLosses,
    advantages,
    answer_means,
    token_logprobs,
    token_policy_losses,
)
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.precision import autocast
from trainer_worker.trainer.engine.prompt_samples import PromptTokens, prepare_prompts
from trainer_worker.trainer.engine.prompts import Asking
from trainer_worker.trainer.engine.reward_model import shares_prompts
from trainer_worker.trainer.failures import diverged
from trainer_worker.trainer.preparation import Data, Place, loading, make_run, with_remarks
from trainer_worker.trainer.recipes.next_token import adjust
from trainer_worker.trainer.resuming import checkpoint_of
from trainer_worker.trainer.run import Found, Run
from trainer_worker.trainer.scoring import Scorer, scorer_of, with_signs
from trainer_worker.trainer.subjects import base_of, context_length, hold_cast, subject_of
from trainer_worker.trainer.telling import Told, progress
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2

POSITIONS_TOGETHER = 2048  # of answers that share a prompt: what they may see is a square of that


@dataclasses.dataclass(frozen=True)
class Settings:
    """Those of `GrpoSpec`, every default filled in."""

    group_size: int
    tokens_max: int
    updates: int
    rule: PolicyRule


def prepare(assignment: workers_pb2.Assignment, place: Place) -> Generator[Told, None, Run]:
    """Reads the base, or what a checkpoint has made of it, the prompts, and what scores. Raises: UnusableData,
    BadCheckpoint."""
    spec = assignment.fine_tune
    yield loading()
    settings_of(spec)  # nothing here predicts the next token of a text either
    checkpoint = checkpoint_of(assignment, place.store, scratch=place.scratch)
    subject = subject_of(assignment, place, checkpoint)
    yield loading()
    length = context_length(spec, subject)
    preparing = prepare_prompts(
        assignment, tokenizer=subject.tokenizer, context_length=length, store=place.store, scratch=place.scratch
    )
    data = Data(*(yield from with_remarks(preparing)))
    method = Grpo(grpo_settings(spec.grpo), length)
    run = yield from make_run(assignment, place, method=method, subject=subject, data=data, checkpoint=checkpoint)
    leave_uncompiled(run)
    hold_cast(run)
    yield loading()
    method.scorer = required_scorer(assignment, place, run.device)
    method.drawer = Drawer(run.model, run.tokenizer, precision=run.state.precision)
    if method.settings.rule.kl_weight and not run.adapted:
        method.base = base_of(assignment, place).model.to(run.device).requires_grad_(False)
    return run


def grpo_settings(given: training_pb2.GrpoSpec) -> Settings:
    rule = PolicyRule(
        clip_ratio=given.clip_ratio if given.HasField("clip_ratio") else 0.2,
        kl_weight=given.kl_weight if given.HasField("kl_weight") else 0.04,
        temperature=given.temperature if given.HasField("temperature") else 1.0,
    )
    return Settings(given.group_size or 8, given.max_tokens or 64, given.updates or 1, rule)


def required_scorer(assignment: workers_pb2.Assignment, place: Place, device: torch.device) -> Scorer:
    """Raises: UnusableData if nothing scores."""
    spec = assignment.fine_tune.grpo
    scorer = scorer_of(
        spec.checker if spec.HasField("checker") else None,
        assignment.reward_model if assignment.HasField("reward_model") else None,
        store=place.store,
        scratch=place.scratch,
        device=device,
    )
    if scorer is None:
        raise UnusableData("nothing scores the answers", help="Name a checker or a reward model.")
    return scorer


Places = Sequence[tuple[int, int]]  # of answers: the place of the prompt, and the number of the answer
Known = dict[tuple[int, int], Tensor]  # of the tokens of answers, by their places


@dataclasses.dataclass
class Groups:
    """What one step learns from: a group of answers to each of its prompts, drawn by the model as it was.

    Shapes: scores and advantages (P, G). `before` and `base` are log-probabilities of tokens, under the policy that
    drew them and under the base. `updates_done` counts the moves that were made from them already.
    """

    lesson: Lesson
    scores_PG: Tensor
    advantages_PG: Tensor
    before: Known = dataclasses.field(default_factory=dict)
    base: Known = dataclasses.field(default_factory=dict)
    updates_done: int = 0

    @property
    def positions(self) -> int:
        return self.lesson.positions


class Grpo:
    """The method, with what it keeps between steps: what scores, what draws, and the base to stay close to."""

    scorer: Scorer
    drawer: Drawer
    base: Decoder | None = None

    def __init__(self, settings: Settings, context_length: int) -> None:
        self.settings, self.context_length = settings, context_length

    def next_batch(self, run: Run) -> Generator[Told, None, tuple[Groups, np.ndarray]]:
        """Prompts by their place in the data; answers by the model, and by seeds of the place alone."""
        state, size = run.state, self.settings.group_size
        step_prompts = max(1, state.batch_size // size)
        first = state.samples // state.batch_size * step_prompts
        numbers_P = run.training.order(np.arange(first, first + step_prompts), seed=state.seed)
        prompts: list[PromptTokens] = run.training.read(numbers_P)

        # Draw: a group of answers to each prompt.
        names = [f"{place} {number}" for place in range(first, first + step_prompts) for number in range(size)]
        asked = list(self.asked(run, [one for one in prompts for _ in range(size)], names))
        answers = yield from self.drawn(run, asked)

        # Score: which of them are better than the group?
        scores_PG = yield from self.scores(run, prompts, answers)
        lesson = Lesson(rows_of(prompts, answers, size), np.arange(len(prompts)), layout_of(run))
        return Groups(lesson, scores_PG, advantages(scores_PG)), numbers_P

    def forward_and_backward(self, run: Run, groups: Groups) -> Found:
        """Leaves in each weight the gradient of the groups' mean loss, after all moves from them but the last one,
        which is the loop's."""
        while groups.updates_done < self.settings.updates - 1:
            adjust(run, self.found(run, groups))
            groups.updates_done += 1
        return self.found(run, groups)

    def found(self, run: Run, groups: Groups) -> Found:
        tally = Tally(groups)
        for part, places in parts_of(run, groups, self.settings):
            # Forward: how likely is each token of the answers now, and how likely was it before?
            moved = part.to(run.device)
            base_S = self.base_logprobs(run, groups, moved, places)
            with autocast(run.state.precision, device=run.device):
                policy_S = token_logprobs(
                    moved, run.predict(moved.batch), run.model, temperature=self.settings.rule.temperature
                )
            before_S = recalled(groups.before, places)
            if before_S is None:  # these answers were drawn by the weights as they are now
                before_S = remember(groups.before, places, moved, policy_S.detach())

            # Compare: answers better than their group are to become likelier, within bounds.
            advantage_A = torch.stack([groups.advantages_PG[place] for place in places]).to(run.device)
            advantage_S = advantage_A[moved.answer_S]
            losses = token_policy_losses(policy_S, before_S, base_S, advantage_S, rule=self.settings.rule)

            # Backward: how should each weight have been?
            loss = answer_means(losses.losses_S, moved).sum() / groups.scores_PG.numel()
            run.scaler.scaled(loss).backward()
            tally.add(moved, losses, loss.detach())
        return tally.found(run.device)

    def base_logprobs(self, run: Run, groups: Groups, part: Part, places: Places) -> Tensor | None:
        """Those of the tokens of a part under the base, computed once. Shape (S,); None without a weight on them."""
        found_S = recalled(groups.base, places)
        if found_S is not None or not self.settings.rule.kl_weight:
            return found_S
        with torch.no_grad(), autocast(run.state.precision, device=run.device), self.based(run) as base:
            hidden_BTD = base.hidden(part.batch.tokens_BT, **part.batch.places)
            base_S = token_logprobs(part, hidden_BTD, base, temperature=self.settings.rule.temperature)
        return remember(groups.base, places, part, base_S)

    @contextlib.contextmanager
    def based(self, run: Run) -> Iterator[Decoder]:
        """The model as it was before it learnt, without dropout."""
        if self.base is not None:
            yield self.base.eval()
            return
        from trainer_worker.trainer.engine.lora import without_adapters  # of adapted runs only

        run.model.eval()
        try:
            with without_adapters(run.model):
                yield run.model
        finally:
            run.model.train()

    def evaluate(self, run: Run) -> Generator[Told, None, Evaluation | None]:
        """Answers held-out prompts, once each, and always by the same random numbers. The loss that early stopping and
        the best weights go by is the score with its sign turned."""
        indices = run.validation.spread(run.spec.evaluation.sequences)
        if not len(indices):
            return None
        prompts: list[PromptTokens] = run.validation.read(indices)
        asked = list(self.asked(run, prompts, [f"held out {index}" for index in indices]))
        answers = yield from self.drawn(run, asked)
        score = (yield from self.scores(run, prompts, answers)).mean().item()
        tokens = sum(len(one.tokens) for one in answers) / len(answers)
        return Evaluation(loss=-score, others={"score": score, "answer_tokens": tokens})

    def asked(self, run: Run, prompts: Sequence[PromptTokens], names: Sequence[str]) -> Iterator[Asked]:
        """Answers end where a sequence of the run does; in a conversation with the turn."""
        rule = DrawRule(self.settings.rule.temperature)
        with contextlib.closing(Asking(run.tokenizer, chat_template=tuning(run).rows.chat_template)) as asking:
            for one, name in zip(prompts, names, strict=True):
                texts, ends = asking.turn_ends if one.prompt.messages else ((), frozenset())
                room = min(self.settings.tokens_max, self.context_length - len(one.tokens) + 1)
                yield Asked(one.tokens, seed_of(run, name), Manner(rule, tokens_max=room, stops=texts, ends=ends))

    def drawn(self, run: Run, asked: Sequence[Asked]) -> Generator[Told, None, list[Answer]]:
        """Raises: TrainingFailed if the model cannot be drawn from any more."""
        drawing = self.drawer.draw(asked)
        try:
            while True:
                next(drawing)
                yield progress(pipe_pb2.SECTION_EVALUATE, step=run.state.step)
        except StopIteration as end:
            answers: list[Answer] = end.value
            return answers
        except NotFinite as error:
            raise diverged(f"After step {run.state.step} no answer can be drawn: {error}.") from error

    def scores(
        self, run: Run, prompts: Sequence[PromptTokens], answers: Sequence[Answer]
    ) -> Generator[Told, None, Tensor]:
        """Returns shape (P, G), float32, where G is the number of answers to each prompt."""
        size = len(answers) // len(prompts)
        asked = [one.prompt for one in prompts for _ in range(size)]
        scoring = self.scorer(asked, [answer.text for answer in answers])
        found = yield from with_signs(scoring, step=run.state.step)
        return torch.tensor(found, dtype=torch.float32).view(len(prompts), size)


def seed_of(run: Run, name: str) -> int:
    """Another one for each answer of a run, whatever the others are."""
    digest = hashlib.blake2b(f"answer {run.state.seed} {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def rows_of(prompts: Sequence[PromptTokens], answers: Sequence[Answer], size: int) -> AnswerRows:
    """Each prompt with its answers, as tokens."""
    segments: list[list[int]] = []
    for place, one in enumerate(prompts):
        segments.append(list(one.tokens))
        segments += [answer.tokens for answer in answers[place * size : (place + 1) * size]]
    lengths = np.array([len(segment) for segment in segments], np.int64)
    return AnswerRows(
        tokens=np.concatenate([np.array(segment, np.uint32) for segment in segments]),
        begins=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        numbers=np.array([one.prompt.number for one in prompts], np.int64),
        weights=np.ones(len(prompts), np.float32),
        labels=np.zeros(len(prompts), bool),
        answers=size,
    )


def layout_of(run: Run) -> Layout:
    return Layout(run.tokenizer.end_of_text, shared=shares_prompts(run.model.config))


def parts_of(run: Run, groups: Groups, settings: Settings) -> Iterator[tuple[Part, Places]]:
    """Answers that fit into memory together, and their places: those of several groups, of one, or a few of one."""
    rows, lesson = run.state.micro_batch_size, groups.lesson
    together = max(1, min(rows, settings.group_size, POSITIONS_TOGETHER // settings.tokens_max))
    for begin in range(0, settings.group_size, together):
        numbers = range(begin, min(begin + together, settings.group_size))
        for part in lesson.only(*numbers).parts(max(1, rows // together)):
            yield part, [(int(place), number) for place in part.places for number in numbers]


def recalled(known: Known, places: Places) -> Tensor | None:
    """What is known of the tokens of some answers, one after the other; None if it is not. Shape (S,)."""
    return torch.cat([known[place] for place in places]) if all(place in known for place in places) else None


def remember(known: Known, places: Places, part: Part, found_S: Tensor) -> Tensor:
    sizes = [int(size) for size in part.sizes_A.tolist()]
    known |= dict(zip(places, found_S.split(sizes), strict=True))
    return found_S


class Tally:
    """Adds up what the parts of a step have found."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._losses: list[Tensor] = []
        self._sums: list[Tensor] = []

    def add(self, part: Part, losses: TokenLosses, loss: Tensor) -> None:
        measured = losses.divergence_S.detach().sum(), losses.clipped_S.sum(), part.sizes_A.sum()
        self._losses.append(loss)
        self._sums.append(torch.stack(measured))

    def found(self, device: torch.device) -> Found:
        divergence, clipped, tokens = torch.stack(self._sums).sum(dim=0)
        scores_PG, loss = self._groups.scores_PG.to(device), torch.stack(self._losses).sum()
        metrics = {
            "train/score": scores_PG.mean(),
            "train/score_deviation": scores_PG.std(dim=1).mean(),
            "train/kl": divergence / tokens,
            "train/clipped": clipped / tokens,
            "train/answer_tokens": tokens / scores_PG.numel(),
        }
        # No row is blamed: what an answer costs says nothing about its prompt.
        return Found(loss=loss, losses=loss.expand(len(scores_PG)), metrics=metrics)
