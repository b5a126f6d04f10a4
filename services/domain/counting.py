"""Numbers with their nouns, as people read them."""


def counted(count: int, noun: str) -> str:
    """Return a number and its noun: `1 job`, `2,000 jobs`. For nouns that take an s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
