"""Named places where a test can kill or freeze the trainer, or the process that stores its checkpoints.

`TUTELAGE_FAULTPOINT=name[:nth[:signal]]` sends the signal (KILL by default, STOP freezes) to the process itself when
the place is reached for the nth time (default: the first). Unset, as always outside of tests, a place costs one
look-up. Places:

    step_done                 after each step, before anything is told about it
    checkpoint_begins         nothing is written yet
    checkpoint_model          the weights are in the snapshot
    checkpoint_optimizer      the optimizer state as well
    checkpoint_filled         all files as well: the snapshot is whole
    checkpoint_handed         the snapshot is handed over to be stored
    checkpoint_told           the supervisor has been told

and in the process that stores checkpoints:

    writer_begins             nothing is written yet
    writer_filled             all files are in the store's staging, but neither manifest nor final name
    writer_stored             the file set is complete, but nobody has been told
    writer_told               the trainer has been told
"""

import os
import signal
from collections import Counter

_reached: Counter[str] = Counter()


def faultpoint(name: str) -> None:
    """Does nothing, unless the environment asks for the end of the process here."""
    asked = os.environ.get("TUTELAGE_FAULTPOINT")
    if not asked:
        return
    wanted, _, rest = asked.partition(":")
    nth, _, signal_name = rest.partition(":")
    if name != wanted:
        return
    _reached[name] += 1
    if _reached[name] == int(nth or 1):
        os.kill(os.getpid(), signal.Signals[f"SIG{signal_name or 'KILL'}"])
