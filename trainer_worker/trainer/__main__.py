"""`python -m trainer_worker.trainer`: runs one job for the supervisor that started it.

The launch comes in on standard input, facts go out on file descriptor 3, and everything else on standard error. What
takes longest, loading torch, comes before the launch: a trainer may be started before there is a job for it.
"""

import os
import pathlib
import sys

from trainer_worker.trainer.lifeline import EXIT_ABANDONED, TICK_LIMIT_S, Lifeline, die_with_parent
from trainer_worker.trainer.pipe import Reader, SupervisorGone, Writer
from trainer_worker.trainer.starting import Start

TO_SUPERVISOR = 3


def main() -> int:
    die_with_parent()
    os.set_inheritable(TO_SUPERVISOR, False)
    start = Start()
    prepare_environment()
    from trainer_worker.trainer.work import work  # torch comes with it, after the environment is set

    start.mark("import")
    reader, writer = Reader(0), Writer(TO_SUPERVISOR)
    lifeline = Lifeline(reader, tick_limit_s=float(os.environ.get("TUTELAGE_TICK_LIMIT_SECONDS", TICK_LIMIT_S)))
    try:
        launch = reader.read().launch
        start.mark("launch")
        lifeline.start()
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(pathlib.Path(launch.scratch_dir) / "inductor"))
        return work(launch, writer=writer, stop=lifeline.stop_asked, start=start)
    except SupervisorGone as error:
        print(f"trainer leaves: {error}", file=sys.stderr)
        return EXIT_ABANDONED


def prepare_environment() -> None:
    """What libraries read from the environment when they are loaded."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic products on CUDA
    os.environ.setdefault("RAYON_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))  # of `tokenizers`


if __name__ == "__main__":
    sys.exit(main())
