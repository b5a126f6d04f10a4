"""Generates docs/job-states.md, the drawing of a job's life, from the table of transitions.

Run `python docs/generate_job_states.py` with the development environment; a test proves the page fresh.
"""

import pathlib
import sys

PAGE = pathlib.Path(__file__).with_name("job-states.md")
OPENING = """# States of a job

Drawn from the table of transitions in [services/domain/job_states.py](../services/domain/job_states.py) by
`docs/generate_job_states.py`; change the table instead. What is not in the table is refused as `WRONG_STATE`.

```mermaid
"""
CLOSING = """```

| state | who holds the job | quota of the project |
| --- | --- | --- |
"""
HOLDERS = {
    "waiting": ("nobody", "counts as open"),
    "held": ("a worker, under a lease", "counts as open and as running"),
    "final": ("nobody, ever again", "not counted"),
    "resting": ("nobody, until it is resumed or cancelled", "counts as open"),
}


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page())


def page() -> str:
    """Returns the whole page."""
    from services.domain.job_states import JobState, drawing

    rows = [f"| {state.value} | {' | '.join(HOLDERS[kind_of(state)])} |\n" for state in JobState]
    return OPENING + drawing() + CLOSING + "".join(rows)


def kind_of(state: object) -> str:
    """Returns which of the sets of the table a state is in."""
    from services.domain.job_states import FINAL, HELD, WAITING

    kinds = {"waiting": WAITING, "held": HELD, "final": FINAL}
    return next((kind for kind, states in kinds.items() if state in states), "resting")


if __name__ == "__main__":
    sys.exit(main())
