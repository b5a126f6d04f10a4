"""Whether prompts and candidates that come from outside can be kept: their shapes, lengths and characters."""

from collections.abc import Iterator, Sequence

from services.domain.answers import Candidate, ChatMessage, Prompt
from services.domain.errors import FieldViolation
from services.domain.judgements import text_violations
from services.domain.limits import ANSWER_CHARACTERS_MAX, CANDIDATES_MAX, PROMPT_TURNS_MAX

ROLES = ("system", "user", "assistant")


def prompt_violations(prompt: Prompt, *, field: str = "prompt") -> list[FieldViolation]:
    """Return what is wrong with a prompt, its fields named below `field`."""
    if prompt.text and prompt.messages:
        return [FieldViolation(field, "is a text or a conversation, never both")]
    if prompt.text:
        return list(text_violations(f"{field}.text", prompt.text, most=ANSWER_CHARACTERS_MAX))
    if not prompt.messages:
        return [FieldViolation(field, "is missing: give `text` or `messages`")]
    if len(prompt.messages) > PROMPT_TURNS_MAX:
        words = f"must be at most {PROMPT_TURNS_MAX} turns, got {len(prompt.messages):,}"
        return [FieldViolation(f"{field}.messages", words)]
    return list(_of_messages(prompt.messages, field=f"{field}.messages"))


def candidate_violations(candidates: Sequence[Candidate], *, field: str = "candidates") -> list[FieldViolation]:
    """Return what is wrong with the answers that were judged."""
    if not 1 <= len(candidates) <= CANDIDATES_MAX:
        return [FieldViolation(field, f"must be 1 to {CANDIDATES_MAX}, got {len(candidates):,}")]
    found: list[FieldViolation] = []
    for place, candidate in enumerate(candidates):
        found += text_violations(f"{field}[{place}].text", candidate.text, least=1, most=ANSWER_CHARACTERS_MAX)
        same = next((other for other in range(place) if candidates[other].text == candidate.text), None)
        if same is not None:
            found.append(FieldViolation(f"{field}[{place}].text", f"is the same as candidate {same}: give each once"))
    return found


def _of_messages(messages: Sequence[ChatMessage], *, field: str) -> Iterator[FieldViolation]:
    for place, message in enumerate(messages):
        path = f"{field}[{place}]"
        if message.role not in ROLES:
            words = f"must be one of {', '.join(ROLES)}, got {ascii(message.role[:80])}"
            yield FieldViolation(f"{path}.role", words)
        yield from text_violations(f"{path}.content", message.content, most=ANSWER_CHARACTERS_MAX)
    if messages[-1].role == "assistant":
        yield FieldViolation(f"{field}[{len(messages) - 1}].role", "must not be assistant: the answer is a candidate")
