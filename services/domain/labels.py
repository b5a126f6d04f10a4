"""Labels: what callers write on a job to find it by."""

from collections.abc import Mapping

from services.domain.errors import FieldViolation
from services.domain.limits import LABEL_KEY_CHARACTERS_MAX, LABEL_VALUE_CHARACTERS_MAX, LABELS_MAX


def label_violations(labels: Mapping[str, str]) -> list[FieldViolation]:
    """Return what is wrong with labels."""
    found = []
    if len(labels) > LABELS_MAX:
        found.append(FieldViolation("labels", f"must be at most {LABELS_MAX}, got {len(labels)}"))
    for key, value in sorted(labels.items())[:LABELS_MAX]:
        path = f"labels[{ascii(key[:LABEL_KEY_CHARACTERS_MAX])}]"
        if not 1 <= len(key) <= LABEL_KEY_CHARACTERS_MAX or not _is_plain(key):
            rule = f"must have a key of 1 to {LABEL_KEY_CHARACTERS_MAX} printable characters, got {len(key)}"
            found.append(FieldViolation(path, rule))
        if len(value) > LABEL_VALUE_CHARACTERS_MAX or not _is_plain(value):
            rule = f"must be at most {LABEL_VALUE_CHARACTERS_MAX} printable characters, got {len(value)}"
            found.append(FieldViolation(path, rule))
    return found


def _is_plain(text: str) -> bool:
    return text.isprintable()
