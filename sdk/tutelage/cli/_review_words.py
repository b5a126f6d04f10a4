"""The difference of two texts, word by word."""

import difflib
import re

SAME, GONE, NEW = "same", "gone", "new"
WORDS = re.compile(r"\s+|\w+|[^\w\s]")
# Longer texts would hold up the keys: they are compared line by line.
WORDS_MAX = 4000


def word_diff(before: str, after: str) -> list[tuple[str, str]]:
    """Returns the pieces that two texts share, those that are gone, and those that are new, in reading order."""
    old, new = pieces_of(before), pieces_of(after)
    if max(len(old), len(new)) > WORDS_MAX:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found: list[tuple[str, str]] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag == "equal":
            found.append((SAME, "".join(old[a:b])))
            continue
        found += [(GONE, "".join(old[a:b]))] if a < b else []
        found += [(NEW, "".join(new[c:d]))] if c < d else []
    return found


def pieces_of(text: str) -> list[str]:
    """Returns words, marks and blanks, in order; joined they are the text."""
    return WORDS.findall(text)
