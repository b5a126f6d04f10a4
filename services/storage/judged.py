"""What is judged and what is thought of it, as rows keep them: plain values that become nouns again."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.domain.answers import Candidate, ChatMessage, Prompt


def prompt_from_json(plain: Mapping[str, Any]) -> Prompt:
    """Return the prompt behind plain values."""
    messages = tuple(ChatMessage(role=turn["role"], content=turn["content"]) for turn in plain["messages"])
    return Prompt(text=plain["text"], messages=messages)


def candidates_from_json(plain: Sequence[Mapping[str, Any]]) -> tuple[Candidate, ...]:
    """Return the candidates behind plain values."""
    return tuple(Candidate(**candidate) for candidate in plain)
