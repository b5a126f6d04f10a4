"""Launches trainers with what they need, and clears away what they leave."""

import os
import pathlib
import shutil
import tempfile
import threading

from trainer_worker.supervisor import environment, pipe, trainer_process
from trainer_worker.supervisor.main_thread import MainThread
from trainer_worker.supervisor.orders import Force
from trainer_worker.supervisor.outfit import Outfit, outfit
from trainer_worker.supervisor.settings import Settings
from trainer_worker.supervisor.spare import Spare
from trainer_worker.supervisor.trainer_process import TrainerProcess
from trainer_worker.supervisor.trainer_record import MARK_VARIABLE, TrainerRecord
from tutelage_internal.v1 import pipe_pb2, workers_pb2


class Launcher:
    """Starts trainers with what they need, and keeps the list of those that run."""

    def __init__(self, settings: Settings, *, main_thread: MainThread, record: TrainerRecord) -> None:
        self._settings, self._main_thread, self._record = settings, main_thread, record
        self._running: dict[int, tuple[TrainerProcess, pathlib.Path]] = {}  # with its folder for temporary files
        self._lock = threading.Lock()
        self.spare = Spare(outfit=self._outfit, start=self._start, bury=self.bury)

    def launch(self, assignment: workers_pb2.Assignment) -> TrainerProcess:
        """Starts a trainer, or takes the spare one, and hands it the job.

        Raises OSError, and PipeError for a job that fits into no message.
        """
        launch = self._launch(assignment)
        pipe.frame(launch)  # what cannot be said is found out before there is a process
        trainer = self.spare.take() or self._start()
        trainer.say(launch)
        return trainer

    def bury(self, trainer: TrainerProcess) -> int:
        """Ends what the trainer has left behind, reaps it and returns its exit code."""
        trainer.end_session()
        with self._lock:
            _, temporary_dir = self._running.pop(trainer.pid)
        code = trainer.bury()
        self._record.remove(trainer.pid)
        shutil.rmtree(temporary_dir, ignore_errors=True)
        return code

    def tick(self) -> None:
        """Tells every trainer that has a job that its supervisor lives."""
        with self._lock:
            running = list(self._running.values())
        for trainer, _ in running:
            trainer.tick()

    def attempt_dir(self, attempt: workers_pb2.Attempt) -> pathlib.Path:
        """Where files of one attempt lie."""
        return self._settings.scratch_dir / "attempts" / f"{pathlib.Path(attempt.job_uid).name}-e{attempt.epoch}"

    def clear(self, attempt: workers_pb2.Attempt) -> None:
        """Removes them."""
        shutil.rmtree(self.attempt_dir(attempt), ignore_errors=True)

    def _launch(self, assignment: workers_pb2.Assignment) -> pipe_pb2.ToTrainer:
        launch = pipe_pb2.Launch(
            assignment=assignment,
            artifacts_url=self._settings.artifacts_url,
            scratch_dir=str(self._settings.scratch_dir / "cache"),
        )
        return pipe_pb2.ToTrainer(launch=launch)

    def _start(self) -> TrainerProcess:
        folder = self._settings.scratch_dir / "temporary"
        folder.mkdir(exist_ok=True)
        temporary_dir = pathlib.Path(tempfile.mkdtemp(dir=folder))
        variables = self._environment(temporary_dir)
        try:
            return self._main_thread.do(lambda: self._spawn(variables, temporary_dir))
        except Exception:
            shutil.rmtree(temporary_dir, ignore_errors=True)
            raise

    def _spawn(self, variables: dict[str, str], temporary_dir: pathlib.Path) -> TrainerProcess:
        trainer = trainer_process.spawn(self._settings.trainer_command, environment=variables)
        with self._lock:
            self._running[trainer.pid] = trainer, temporary_dir
        try:
            self._record.add(trainer.pid)
        except OSError:  # a disk without room: a trainer that no successor would find must not be
            trainer.apply(Force.KILL)
            trainer.end_session()
            with self._lock:
                del self._running[trainer.pid]
            trainer.bury()
            os.close(trainer.facts_fd)
            raise
        return trainer

    def _outfit(self) -> Outfit:
        # The folder for temporary files is each trainer's own, and no difference.
        variables = self._environment(self._settings.scratch_dir / "temporary")
        return outfit(self._settings.trainer_command, variables)

    def _environment(self, temporary_dir: pathlib.Path) -> dict[str, str]:
        return environment.trainer_environment(
            os.environ,
            threads=self._settings.threads_per_slot,
            artifacts_url=self._settings.artifacts_url,
            scratch_dir=self._settings.scratch_dir,
            temporary_dir=temporary_dir,
        ) | {MARK_VARIABLE: self._record.mark}
