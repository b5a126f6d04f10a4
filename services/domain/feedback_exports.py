"""Feedback sets in the words of other tools, row by row.

The columns are those of TRL's dataset formats (https://huggingface.co/docs/trl/dataset_formats) and of the preference
format of OpenAI. The former also get `split`, `weight` and `votes`, which such tools leave alone; the latter is checked
strictly by those who take it, so it has its own keys and no others.
"""

import enum
import json
from collections.abc import Callable, Mapping
from typing import Any

from services.domain.feedback_rows import EXAMPLE, LABEL, PAIR
from services.domain.feedback_sets import canonical, plain_prompt
from services.domain.plain import to_plain
from services.domain.reviews import Vote

_CONVERSATION = b'"prompt":['  # a quotation mark inside of a text has a backslash before it, so no text holds this


class FeedbackFormat(enum.Enum):
    """The rows that other tools read."""

    VOTES = "VOTES"
    SFT = "SFT"
    DPO = "DPO"
    KTO = "KTO"
    OPENAI = "OPENAI"


KIND_OF = {
    FeedbackFormat.SFT: EXAMPLE,
    FeedbackFormat.DPO: PAIR,
    FeedbackFormat.KTO: LABEL,
    FeedbackFormat.OPENAI: PAIR,
}
"""Which rows of a set a format is made of; a row a vote is read from the ledger instead."""


def is_conversation(line: bytes) -> bool:
    """Whether a row of a set has a conversation for its prompt, told without reading it."""
    return _CONVERSATION in line


def exported(line: bytes, *, format: FeedbackFormat, split: str, conversational: bool) -> str | None:
    """Return a row of a set as another tool reads it, None if the format has no place for it.

    `conversational` makes conversations of prompts that are texts: a tool wants all rows of one shape.
    """
    kind = f'"kind":"{KIND_OF[format]}"'.encode()
    if kind not in line:
        return None
    row = json.loads(line)
    if format is FeedbackFormat.OPENAI:
        return canonical(_openai(row))
    prompt = row["prompt"]
    if conversational and isinstance(prompt, str):
        row["prompt"] = _user(prompt)
    columns = {"split": split, "weight": row["weight"], "votes": row["votes"]}
    return canonical({**_SHAPES[format](row), **columns})


def vote_row(vote: Vote, *, pseudonym: str) -> str:
    """Return a vote as it is in the ledger now; every row has the same columns, those that do not apply empty."""
    judgement = to_plain(vote.judgement)
    rubric = [{"key": key, "answer": answer} for key, answer in sorted(judgement.pop("rubric").items())]
    return canonical(
        {
            "vote": vote.uid,
            "state": vote.state.value,
            "item": vote.item.name,
            "prompt": plain_prompt(vote.prompt) if not vote.prompt.messages else "",
            "messages": plain_prompt(vote.prompt) if vote.prompt.messages else [],
            "candidates": [to_plain(candidate) for candidate in vote.candidates],
            "judgement": {**judgement, "rubric": rubric},
            "reviewer": f"reviewer-{pseudonym}",
            "end_user": vote.end_user,
            "shown_order": list(vote.shown_order),
            "active_seconds": vote.active_seconds,
            "guidelines_version": vote.guidelines_version,
            "source": vote.source,
            "scripted": vote.scripted,
            "create_time": vote.create_time.isoformat(),
        }
    )


def _sft(row: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(row["prompt"], str):
        return {"prompt": row["prompt"], "completion": row["completion"]}
    return {"messages": [*row["prompt"], *_assistant(row["completion"])]}


def _dpo(row: Mapping[str, Any]) -> dict[str, Any]:
    answers = {key: _answer(row, row[key]) for key in ("chosen", "rejected")}
    return {"prompt": row["prompt"], **answers}


def _kto(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"prompt": row["prompt"], "completion": _answer(row, row["completion"]), "label": row["label"]}


def _openai(row: Mapping[str, Any]) -> dict[str, Any]:
    prompt = row["prompt"]
    return {
        "input": {"messages": _user(prompt) if isinstance(prompt, str) else prompt},
        "preferred_output": _assistant(row["chosen"]),
        "non_preferred_output": _assistant(row["rejected"]),
    }


def _answer(row: Mapping[str, Any], text: str) -> Any:
    return text if isinstance(row["prompt"], str) else _assistant(text)


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _assistant(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


_SHAPES: dict[FeedbackFormat, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    FeedbackFormat.SFT: _sft,
    FeedbackFormat.DPO: _dpo,
    FeedbackFormat.KTO: _kto,
}
