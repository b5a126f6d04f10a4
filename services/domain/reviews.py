"""Reviews: people judge what models wrote. A review has items; a reviewer judges an item from a seat.

A seat is one reviewer's place at one item. As many seats of an item can be taken as the review asks for votes of it. A
seat that is left comes back to the same reviewer with what they wrote, unless others have taken every seat meanwhile.
"""

import enum


class ReviewKind(enum.Enum):
    """What reviewers are asked."""

    PAIR = "PAIR"
    SINGLE = "SINGLE"
    RANKING = "RANKING"


class ReviewState(enum.Enum):
    """Where a review is in its life; it follows from its job, and from whether it was closed."""

    DRAWING = "DRAWING"
    OPEN = "OPEN"
    CLOSED = "CLOSED"
    FAILED = "FAILED"


class SeatState(enum.Enum):
    """What became of a seat. HELD and VOTED take a place at the item; WAITING is a repetition that is still to come."""

    HELD = "HELD"
    VOTED = "VOTED"
    SKIPPED = "SKIPPED"
    LOST = "LOST"
    WAITING = "WAITING"


class VoteState(enum.Enum):
    """Whether a vote counts. It is given as one of the first two; the others are said of it later."""

    SUBMITTED = "SUBMITTED"
    DISCARDED = "DISCARDED"
    WITHDRAWN = "WITHDRAWN"
    RETRACTED = "RETRACTED"


GIVEN = (VoteState.SUBMITTED, VoteState.DISCARDED)
CHANGES = (VoteState.WITHDRAWN, VoteState.RETRACTED)
