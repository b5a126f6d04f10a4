"""`python -m trainer_worker.bell`: started by a supervisor, and by nobody else."""

import os
import sys
import warnings

from celery.exceptions import SecurityWarning

from trainer_worker.bell import canary, logs
from trainer_worker.bell.app import make_app
from trainer_worker.bell.canary import Canary
from trainer_worker.bell.configuration import QUEUE
from trainer_worker.bell.line import Line
from trainer_worker.bell.parent import leave_with_parent


def main() -> int:
    """Listens until it is told to stop or its supervisor is gone."""
    leave_with_parent()
    logs.configure()
    # It warns of pickle under root; nothing but JSON is accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    name = os.environ["TUTELAGE_BELL_NAME"]
    line = Line(int(os.environ["TUTELAGE_BELL_FD"]))
    app = make_app(os.environ["TUTELAGE_BROKER_URL"], line=line, name=name)
    Canary(app, name=name, line=line, interval_s=float(os.environ["TUTELAGE_BELL_CANARY_SECONDS"])).start()
    worker = app.Worker(
        queues=[QUEUE, canary.queue_of(name).name],
        pool="threads",
        concurrency=1,
        quiet=True,
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        hostname="bell@%h",
    )
    line.alive()
    worker.start()
    canary.clear(app, name=name)
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
