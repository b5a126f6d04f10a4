"""`python -m trainer_worker.trainer.writer URL`: stores checkpoints while their trainer trains on.

Each line of standard input names a prefix and a snapshot, as JSON; each line of standard output says what became of it.
There is no torch in here: the process starts in a moment, and holds next to nothing.
"""

import contextlib
import json
import os
import pathlib
import sys

from artifacts import ArtifactError, NoSpace, Store, open_store
from trainer_worker.trainer.engine.faultpoints import faultpoint
from trainer_worker.trainer.parent import die_with_parent
from trainer_worker.trainer.snapshots import NotKept, Outcome, Stored, outcome_line, store_snapshot

NICENESS = 10  # hashing must not take a processor from the steps
TO_TRAINER = 1


def main() -> int:
    die_with_parent()
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    store = open_store(sys.argv[1])
    for line in sys.stdin.buffer:
        order = json.loads(line)
        answer = outcome_line(written(store, order["prefix"], pathlib.Path(order["snapshot"])))
        os.write(TO_TRAINER, answer)
        faultpoint("writer_told")
    return 0


def written(store: Store, prefix: str, snapshot: pathlib.Path) -> Outcome:
    """Stores one snapshot. No trouble with it ends the process: the next one may fare better."""
    faultpoint("writer_begins")
    try:
        files = store_snapshot(store, prefix, snapshot)
    except NoSpace as error:
        return NotKept(why=str(error), full=True)
    except (ArtifactError, OSError) as error:
        return NotKept(why=f"{type(error).__name__}: {error}", full=False)
    faultpoint("writer_stored")
    return Stored(files)


if __name__ == "__main__":
    sys.exit(main())
