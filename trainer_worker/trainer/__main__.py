"""`python -m trainer_worker.trainer`: runs one job for the supervisor that started it.

The launch comes in on standard input, facts go out on file descriptor 3, and everything else on standard error. What
takes longest, loading torch, comes before the launch: a trainer may be started before there is a job for it.
"""

import os
import pathlib
import select
import sys

from trainer_worker.trainer.lifeline import EXIT_ABANDONED, TICK_LIMIT_S, Lifeline, die_with_parent
from trainer_worker.trainer.pipe import Reader, SupervisorGone, Writer
from trainer_worker.trainer.starting import Start
from tutelage_internal.v1 import pipe_pb2

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
        launch = heard_launch(reader, start)
        lifeline.start()
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(pathlib.Path(launch.scratch_dir) / "inductor"))
        return work(launch, writer=writer, stop=lifeline.stop_asked, start=start)
    except SupervisorGone as error:
        print(f"trainer leaves: {error}", file=sys.stderr)
        return EXIT_ABANDONED


def heard_launch(reader: Reader, start: Start) -> pipe_pb2.Launch:
    """The launch, waited for without limit: the end of the pipe is the only sign that none will come."""
    in_advance = not select.select([reader.descriptor], [], [], 0)[0]
    if in_advance:
        from trainer_worker.trainer.recipes import fine_tune, pretrain  # noqa: F401  # what most jobs will want
    launch = reader.read().launch
    start.mark("launch")
    if in_advance:
        start.begin_again()
    return launch


def prepare_environment() -> None:
    """What libraries read from the environment when they are loaded."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic products on CUDA
    os.environ.setdefault("RAYON_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))  # of `tokenizers`


if __name__ == "__main__":
    sys.exit(main())
