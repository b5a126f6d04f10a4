"""Handing what a job has drawn to the review and to the duel that wait for it.

What a trainer tells is a stranger's word: the versions are those of the specification, and texts and numbers are made
fit to be kept. The complete answers, with every token, are a file of the job.
"""

import dataclasses

from services.domain.answers import AnswersDrawn, Candidate, ChatMessage, Prompt
from services.domain.draw_resolution import finite
from services.domain.errors import InvalidField
from services.domain.jobs import Job
from services.domain.limits import ANSWER_CHARACTERS_MAX, DRAW_TOKENS_MAX, NAME_CHARACTERS_MAX, PROMPT_TURNS_MAX
from services.domain.work import DrawSpec
from services.ports import UnitOfWork


def keep_answers(uow: UnitOfWork, job: Job, told: AnswersDrawn) -> None:
    """Hand on the answers to one prompt; those that were handed on before change nothing.

    Raises: InvalidField for answers that the job cannot have drawn.
    """
    drawn = _checked(job, told)
    uow.reviews.add_items(job, drawn)
    uow.duels.add_pairs(job, drawn)


def _checked(job: Job, told: AnswersDrawn) -> AnswersDrawn:
    spec = job.spec
    if not isinstance(spec, DrawSpec):
        raise InvalidField.of("facts", f"a job of the kind {job.kind} draws no answers")
    if not 1 <= told.prompt_number <= spec.steps:
        raise InvalidField.of("facts", f"prompt {told.prompt_number} is not one of the {spec.steps} prompts of the job")
    wanted = len(spec.models) * spec.samples
    if len(told.answers) != wanted:
        words = f"prompt {told.prompt_number} must have {wanted} answers, got {len(told.answers)}"
        raise InvalidField.of("facts", words)
    answers = [
        _clean_answer(answer, model_version=spec.models[place // spec.samples])
        for place, answer in enumerate(told.answers)
    ]
    return dataclasses.replace(told, prompt=_clean_prompt(told.prompt), answers=tuple(answers))


def _clean_prompt(prompt: Prompt) -> Prompt:
    turns = [
        ChatMessage(role=_text(turn.role)[:NAME_CHARACTERS_MAX], content=_text(turn.content))
        for turn in prompt.messages[:PROMPT_TURNS_MAX]
    ]
    return Prompt(text="" if turns else _text(prompt.text), messages=tuple(turns))


def _clean_answer(answer: Candidate, *, model_version: str) -> Candidate:
    return dataclasses.replace(
        answer,
        text=_text(answer.text),
        model_version=model_version,
        tokens=min(max(answer.tokens, 0), DRAW_TOKENS_MAX),
        logprob=finite(answer.logprob),
        score=finite(answer.score),
    )


def _text(text: str) -> str:
    """Return text of a bounded length, without NUL, which PostgreSQL cannot store."""
    return text[:ANSWER_CHARACTERS_MAX].replace("\x00", "\ufffd")
