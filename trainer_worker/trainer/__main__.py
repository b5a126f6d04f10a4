"""`python -m trainer_worker.trainer`: runs one job for the supervisor that started it.

The launch comes in on standard input, facts go out on file descriptor 3, and everything else on standard error.
"""

import os
import pathlib
import sys

from trainer_worker.trainer.lifeline import EXIT_ABANDONED, TICK_LIMIT_S, Lifeline, die_with_parent
from trainer_worker.trainer.pipe import Reader, SupervisorGone, Writer

TO_SUPERVISOR = 3


def main() -> int:
    die_with_parent()
    os.set_inheritable(TO_SUPERVISOR, False)
    reader, writer = Reader(0), Writer(TO_SUPERVISOR)
    lifeline = Lifeline(reader, tick_limit_s=float(os.environ.get("TUTELAGE_TICK_LIMIT_SECONDS", TICK_LIMIT_S)))
    try:
        launch = reader.read().launch
        lifeline.start()
        prepare_environment(pathlib.Path(launch.scratch_dir))
        from trainer_worker.trainer.work import work  # torch comes with it, after the environment is set

        return work(launch, writer=writer, stop=lifeline.stop_asked)
    except SupervisorGone as error:
        print(f"trainer leaves: {error}", file=sys.stderr)
        return EXIT_ABANDONED


def prepare_environment(scratch: pathlib.Path) -> None:
    """What libraries read from the environment when they are loaded."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic products on CUDA
    os.environ.setdefault("RAYON_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))  # of `tokenizers`
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(scratch / "inductor"))


if __name__ == "__main__":
    sys.exit(main())
