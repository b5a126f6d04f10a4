"""Drawing: models answer prompts, and every answer is kept with its seed and the probability of each of its tokens."""

import contextlib
import dataclasses
import itertools
import json
import pathlib
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TextIO

import torch

from artifacts import Store
from artifacts.disk import no_space_is_told
from trainer_worker.trainer.complete_files import keep_complete
from trainer_worker.trainer.engine.draw import Answer, Asked, Drawer, Manner, NotFinite
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.generate import DrawRule
from trainer_worker.trainer.engine.model_artifact import base_model
from trainer_worker.trainer.engine.prompts import Asking, Prompt, fitting_tokens, read_prompts
from trainer_worker.trainer.engine.text import fetch_file
from trainer_worker.trainer.preparation import begin
from trainer_worker.trainer.scoring import Scorer, scorer_of, with_signs
from trainer_worker.trainer.telling import Told, info, progress, warning
from tutelage.v1 import feedback_pb2, jobs_pb2, training_pb2
from tutelage_internal.v1 import facts_pb2, pipe_pb2, workers_pb2

ANSWERS = "answers.jsonl"
ANSWERS_TOGETHER = 256  # of each model: enough to keep all seats taken, few enough to be told soon
PROMPTS_BETWEEN_SIGNS = 1000
TEXT_CHARACTERS_MAX = 100_000
TEXTS_BYTES_MAX = 3 << 20  # of one fact, its prompt counted; the numbers beside have the rest of its 4 MiB


@dataclasses.dataclass(frozen=True)
class Contender:
    """A model that draws, and how it is asked."""

    name: str
    drawer: Drawer
    asking: Asking

    @property
    def context_length(self) -> int:
        return self.drawer.decoder.config.context_length


@dataclasses.dataclass(frozen=True)
class Drawn:
    """An answer with what it came from."""

    model: str
    sample: int
    seed: int
    answer: Answer
    score: float | None = None


def draw(
    assignment: workers_pb2.Assignment, *, store: Store, scratch: pathlib.Path, stop: Callable[[], bool] = lambda: False
) -> Generator[Told, None, "pipe_pb2.Ending.ValueType"]:
    """Draws block after block of prompts with each model, tells the answers in the order of the prompts, and keeps them
    all as one file. An attempt begins at the first prompt, and tells the same as the one before it.

    Returns: ENDING_COMPLETE; ENDING_STOPPED, without the file, if it was told to stop.
    Raises: UnusableData with the row of a prompt that cannot be asked; TrainingFailed without room for the file.
    """
    spec, device = assignment.draw, begin()
    yield progress(pipe_pb2.SECTION_LOAD)
    contenders = yield from contenders_of(assignment, store=store, scratch=scratch, device=device)
    scorer = scorer_of(
        spec.checker if spec.HasField("checker") else None,
        assignment.reward_model if assignment.HasField("reward_model") else None,
        store=store,
        scratch=scratch,
        device=device,
    )
    yield progress(pipe_pb2.SECTION_LOAD)
    prompts = yield from prompts_of(assignment, contenders, store=store, scratch=scratch)

    with tempfile.TemporaryDirectory(prefix="answers-") as name, no_space_is_told(), closing_all(contenders):
        folder, done = pathlib.Path(name), 0
        with (folder / ANSWERS).open("w", encoding="utf-8") as file:
            yield progress(pipe_pb2.SECTION_FIRST_STEP)
            for block in blocks(prompts(), size=max(1, ANSWERS_TOGETHER // spec.samples)):
                began = time.perf_counter()
                found = yield from drawn_block(spec, contenders, block, scorer=scorer, first=done, stop=stop)
                if found is None:
                    return pipe_pb2.ENDING_STOPPED
                seconds = time.perf_counter() - began
                yield from told_block(assignment, block, found, file=file, first=done, seconds=seconds)
                done += len(block)
        parameters = contenders[0].drawer.decoder.config.parameters
        yield from keep_complete(assignment, folder, store=store, parameters=parameters, step=done)
    return pipe_pb2.ENDING_COMPLETE


def contenders_of(
    assignment: workers_pb2.Assignment, *, store: Store, scratch: pathlib.Path, device: torch.device
) -> Generator[Told, None, list[Contender]]:
    contenders = []
    for artifact in assignment.models:
        stored = base_model(artifact, store=store, scratch=scratch)
        model = stored.model.to(device).eval().requires_grad_(False)
        contenders.append(Contender(artifact.name, Drawer(model, stored.tokenizer), Asking(stored.tokenizer)))
        yield progress(pipe_pb2.SECTION_LOAD)
    return contenders


@contextlib.contextmanager
def closing_all(contenders: Sequence[Contender]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for one in contenders:
            stack.callback(one.asking.close)
        yield


def prompts_of(
    assignment: workers_pb2.Assignment, contenders: Sequence[Contender], *, store: Store, scratch: pathlib.Path
) -> Generator[Told, None, Callable[[], Iterator[Prompt]]]:
    """What gives the prompts from the first one on, once all of them are found to be answerable: else it would be for
    nothing that those before a bad one were answered. Raises: UnusableData with the row."""
    part, most = assignment.dataset, assignment.draw.prompts_max or None
    path = fetch_file(store, key=part.key, sha256=part.sha256, size_bytes=part.size_bytes, scratch=scratch)

    def prompts() -> Iterator[Prompt]:
        return itertools.islice(read_prompts(path, format=part.format, kind=part.row_kind), most)

    longest = count = 0
    for count, prompt in enumerate(prompts(), start=1):
        for one in contenders:
            tokens = fitting_tokens(prompt, one.asking, context_length=one.context_length, model=one.name)
            longest = max(longest, len(tokens))
        if count % PROMPTS_BETWEEN_SIGNS == 1:
            yield progress(pipe_pb2.SECTION_LOAD)
    if not count:
        raise UnusableData(f"{part.name or 'the dataset'} has no prompts")
    yield from described(assignment.draw, contenders, prompts=count, longest=longest)
    return prompts


def described(
    spec: training_pb2.DrawSpec, contenders: Sequence[Contender], *, prompts: int, longest: int
) -> Iterator[Told]:
    """What is about to be drawn, and whether answers may be cut short."""
    names = ", ".join(one.name for one in contenders)
    details = {"prompts": prompts, "models": names, "samples": spec.samples, "longest_prompt_tokens": longest}
    yield info(
        "drawing", f"Draws {prompts * spec.samples * len(contenders):,} answers to {prompts:,} prompts.", details
    )
    for one in contenders:
        room = one.context_length - longest + 1
        if room < spec.options.max_tokens:
            message = f"Answers of {one.name} end where its context of {one.context_length:,} tokens is full: "
            message += f"after the longest prompt that is {room:,} tokens, not {spec.options.max_tokens:,}."
            yield warning("short_answers", message, {"model": one.name, "tokens": room})


def blocks(prompts: Iterator[Prompt], *, size: int) -> Iterator[list[Prompt]]:
    while block := list(itertools.islice(prompts, size)):
        yield block


def drawn_block(
    spec: training_pb2.DrawSpec,
    contenders: Sequence[Contender],
    block: Sequence[Prompt],
    *,
    scorer: Scorer | None,
    first: int,
    stop: Callable[[], bool],
) -> Generator[Told, None, list[list[Drawn]] | None]:
    """The answers to each prompt, those of the first model first; None if it was told to stop. `first` is the number of
    prompts before the block."""
    found: list[list[Drawn]] = [[] for _ in block]
    seeds = seeds_of(spec, range(first, first + len(block)))
    for one in contenders:
        drawing = one.drawer.draw(list(asked_of(spec, one, block, seeds)))
        answers = yield from watched(drawing, step=first, stop=stop, model=one.name)
        if answers is None:
            return None
        for place, (seed, answer) in enumerate(zip(seeds, answers, strict=True)):
            prompt, sample = divmod(place, spec.samples)
            found[prompt].append(Drawn(one.name, sample, seed, with_fit_text(answer)))
    return found if scorer is None else (yield from scored(block, found, scorer, step=first))


def seeds_of(spec: training_pb2.DrawSpec, prompts: range) -> list[int]:
    """A seed for each answer of a model to these prompts, counted from 0: no two are the same.

    All models have the same ones: equal models answer alike, and others differ by what they are and less by chance.
    """
    places = range(prompts.start * spec.samples, prompts.stop * spec.samples)
    return [(spec.options.seed + place) % 2**32 for place in places]


def asked_of(
    spec: training_pb2.DrawSpec, one: Contender, block: Sequence[Prompt], seeds: Sequence[int]
) -> Iterator[Asked]:
    for place, prompt in enumerate(block):
        tokens = tuple(one.asking.tokens(prompt))
        manner = manner_of(spec.options, one.asking, talks=bool(prompt.messages))
        for seed in seeds[place * spec.samples : (place + 1) * spec.samples]:
            yield Asked(tokens, seed, manner)


def manner_of(options: training_pb2.DrawOptions, asking: Asking, *, talks: bool) -> Manner:
    """How answers are drawn: in a conversation, until the turn is over."""
    texts, ends = asking.turn_ends if talks else ((), frozenset())
    rule = DrawRule(options.temperature, top_k=options.top_k, top_p=options.top_p if options.HasField("top_p") else 1.0)
    stops = (*(stop.encode() for stop in options.stop), *texts)
    return Manner(rule, tokens_max=options.max_tokens, stops=stops, ends=ends)


def watched(
    drawing: Generator[None, None, list[Answer]], *, step: int, stop: Callable[[], bool], model: str
) -> Generator[Told, None, list[Answer] | None]:
    """Draws with signs of life; None if it was told to stop. Raises: UnusableData if the model is broken."""
    while not stop():
        try:
            next(drawing)
        except StopIteration as end:
            answers: list[Answer] = end.value
            return answers
        except NotFinite as error:
            raise UnusableData(f"{model} cannot be drawn from: {error}", help="Choose another version.") from error
        yield progress(pipe_pb2.SECTION_EVALUATE, step=step)
    drawing.close()
    return None


def with_fit_text(answer: Answer) -> Answer:
    """With a text that every database keeps: an untrained model may draw NUL."""
    text = answer.text[:TEXT_CHARACTERS_MAX].replace("\0", "\ufffd")
    return dataclasses.replace(answer, text=text)


def scored(
    block: Sequence[Prompt], found: list[list[Drawn]], scorer: Scorer, *, step: int
) -> Generator[Told, None, list[list[Drawn]]]:
    prompts = [prompt for prompt, answers in zip(block, found, strict=True) for _ in answers]
    scoring = scorer(prompts, [one.answer.text for answers in found for one in answers])
    scores = iter((yield from with_signs(scoring, step=step)))
    return [[dataclasses.replace(one, score=next(scores)) for one in answers] for answers in found]


def told_block(
    assignment: workers_pb2.Assignment,
    block: Sequence[Prompt],
    found: Sequence[Sequence[Drawn]],
    *,
    file: TextIO,
    first: int,
    seconds: float,
) -> Iterator[Told]:
    """Writes the answers of a block into the file, and tells them prompt by prompt with what was measured."""
    tokens = sum(len(one.answer.tokens) for answers in found for one in answers)
    for number, (prompt, answers) in enumerate(zip(block, found, strict=True), start=first + 1):
        for one in answers:
            file.write(json.dumps(line_of(number, prompt, one), ensure_ascii=False) + "\n")
        asked = prompt_message(prompt)
        candidates = candidates_of(answers, bytes_max=TEXTS_BYTES_MAX - asked.ByteSize())
        yield facts_pb2.AnswersDrawn(prompt_number=number, prompt=asked, answers=list(candidates))
        if number > assignment.recorded_step:
            values = metrics_of(answers, tokens_per_second=tokens / seconds, seconds=seconds / len(block))
            yield jobs_pb2.MetricLogged(step=number, values=values)
        yield progress(pipe_pb2.SECTION_STEP, step=number)


def metrics_of(answers: Sequence[Drawn], *, tokens_per_second: float, seconds: float) -> dict[str, float]:
    scores = [one.score for one in answers if one.score is not None]
    score = {"draw/score": sum(scores) / len(scores)} if scores else {}
    return score | {
        "draw/tokens": float(sum(len(one.answer.tokens) for one in answers)),
        "draw/tokens_per_second": tokens_per_second,
        "perf/step_seconds": seconds,
    }


def line_of(number: int, prompt: Prompt, one: Drawn) -> dict[str, object]:
    """A line of the file of answers. Log-probabilities are in nats, one a token."""
    return {
        "prompt_number": number,
        "prompt": list(prompt.messages) or prompt.text,
        "model_version": one.model,
        "sample": one.sample,
        "seed": one.seed,
        "text": one.answer.text,
        "tokens": one.answer.tokens,
        "logprobs": one.answer.logprobs,
        "finish": one.answer.finish,
        "score": one.score,
    }


def prompt_message(prompt: Prompt) -> feedback_pb2.Prompt:
    turns = [feedback_pb2.ChatMessage(role=turn["role"], content=turn["content"]) for turn in prompt.messages]
    return feedback_pb2.Prompt(messages=turns) if turns else feedback_pb2.Prompt(text=prompt.text[:TEXT_CHARACTERS_MAX])


def candidates_of(answers: Sequence[Drawn], *, bytes_max: int = TEXTS_BYTES_MAX) -> Iterator[feedback_pb2.Candidate]:
    """As they are told; if all together are more than a message holds, with shorter texts."""
    together = sum(len(one.answer.text.encode()) for one in answers)
    longest = TEXT_CHARACTERS_MAX if together <= bytes_max else max(bytes_max, 0) // (4 * len(answers))
    for one in answers:
        yield feedback_pb2.Candidate(
            text=one.answer.text[:longest],
            model_version=one.model,
            seed=one.seed,
            tokens=len(one.answer.tokens),
            logprob=sum(one.answer.logprobs),
            score=one.score,
        )
