"""A reviewer that is a program: of two answers, it prefers the one of which more lines parse as Python.

    TUTELAGE_API_KEY=… python examples/parsing_reviewer.py REVIEW

It votes like a person, through the seats that it is given, sees no model names, and is marked as a program in the
ledger. It goes on until nothing is left for it, waiting while answers are still drawn.
"""

import ast
import sys
import time
import warnings

import tutelage

POLL_S = 0.5
SEATS = 5


def main(review: str) -> None:
    """Votes on every item of a review that is left; prints what it did."""
    votes = choices = 0
    with tutelage.Client() as client:
        while seats := seats_of(client, review):
            for seat in seats:
                preferred = preferred_of(seat)
                if preferred is None:
                    client.reviews.submit_vote(seat, scripted=True, verdict="equal")
                else:
                    client.reviews.submit_vote(seat, scripted=True, preferred=preferred)
                    choices += 1
                votes += 1
    print(f"{votes} votes, {choices} of them for one of the two answers")


def seats_of(client: tutelage.Client, review: str) -> tuple[tutelage.Seat, ...]:
    """Returns the next seats; none only once all answers are drawn and judged."""
    while True:
        taken = client.reviews.take_seats(review, seats=SEATS)
        drawing = any(each.drawing for each in client.reviews.list_open() if each.name.endswith(f"/{review}"))
        if taken.seats or not drawing:
            return taken.seats
        time.sleep(POLL_S)


def preferred_of(seat: tutelage.Seat) -> int | None:
    """Returns which answer has more lines that parse, or None if there is nothing between them."""
    prompt = seat.prompt.text if seat.prompt else ""
    first, second = (parsing_lines(prompt + text) for text in seat.candidates)
    return None if first == second else int(second > first)


def parsing_lines(text: str) -> int:
    """Returns how many lines of a text parse on their own, without their indentation."""
    return sum(parses(line) for line in text.splitlines())


def parses(line: str) -> bool:
    """Whether a line is a statement; a blank one is not, nor is one that opens a block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes, for instance: they parse
        try:
            return bool(ast.parse(line.strip()).body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False


if __name__ == "__main__":
    main(sys.argv[1])
