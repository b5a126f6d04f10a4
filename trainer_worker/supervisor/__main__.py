"""`python -m trainer_worker.supervisor`: one worker."""

import os
import signal
import sys

from trainer_worker.supervisor import logs, scratch
from trainer_worker.supervisor.settings import SettingsError, from_environment
from trainer_worker.supervisor.supervisor import Supervisor


def main() -> int:
    """Runs until SIGTERM or SIGINT, then drains. Exit codes: 0 drained, 2 a setting is wrong, 3 the folder is taken."""
    logs.configure()
    try:
        settings = from_environment(os.environ)
    except SettingsError as error:
        print(f"supervisor: {error}", file=sys.stderr)
        return 2
    try:
        with scratch.owned(settings.scratch_dir):
            supervisor = Supervisor(settings)
            signal.signal(signal.SIGTERM, lambda *_: supervisor.drain())
            signal.signal(signal.SIGINT, lambda *_: supervisor.drain())
            supervisor.run()
            sys.stderr.flush()
            # Threads may still wait for services that never answer; nothing they could do counts any more.
            os._exit(0)
    except scratch.ScratchTakenError as error:
        print(f"supervisor: {error}", file=sys.stderr)
        return 3
    except scratch.ScratchUnusableError as error:
        print(f"supervisor: TUTELAGE_SCRATCH_DIR cannot be used: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
