"""Words that people choose: short, on one line, and shown to others as they are."""

import unicodedata

from services.domain.errors import InvalidField

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})  # controls, direction overrides, line breaks, surrogates


def check_words(value: str, *, field: str, characters_max: int) -> str:
    """Return one line of text. Raises: InvalidField if it is too long or holds characters that cannot be seen."""
    if len(value) > characters_max:
        raise InvalidField.of(field, f"must have at most {characters_max} characters, got {len(value)}")
    for position, character in enumerate(value):
        if unicodedata.category(character) in _HIDDEN:
            raise InvalidField.of(field, f"must not hold control characters, got U+{ord(character):04X} at {position}")
    return value
