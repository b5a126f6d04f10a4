"""The difference of two texts, word by word."""

import difflib
import os
import re
from collections.abc import Sequence

SAME, GONE, NEW = "same", "gone", "new"
WORDS = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")
# What differs over more words than this is shown as replaced whole: comparing it would hold up the keys.
WORDS_MAX = 2000


def word_diff(before: str, after: str) -> list[tuple[str, str]]:
    """Returns the pieces that two texts share, those that are gone, and those that are new, in reading order."""
    old, new = pieces_of(before), pieces_of(after)
    first = len(os.path.commonprefix([old, new]))
    last = len(os.path.commonprefix([old[first:][::-1], new[first:][::-1]]))
    middle = differences(old[first : len(old) - last], new[first : len(new) - last])
    found = [(SAME, "".join(old[:first])), *middle, (SAME, "".join(old[len(old) - last :]))]
    return [(kind, text) for kind, text in found if text]


def differences(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, str]]:
    """Returns the difference of two lists of words that begin and end differently."""
    if max(len(old), len(new)) > WORDS_MAX:
        return [(GONE, "".join(old)), (NEW, "".join(new))]
    found: list[tuple[str, str]] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(a=old, b=new).get_opcodes():
        if tag == "equal":
            found.append((SAME, "".join(old[a:b])))
        else:
            found += [(GONE, "".join(old[a:b])), (NEW, "".join(new[c:d]))]
    return found


def pieces_of(text: str) -> list[str]:
    """Returns words and marks with the blanks after them; joined they are the text."""
    return WORDS.findall(text)
