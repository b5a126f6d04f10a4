"""Launches trainers with what they need, and clears away what they leave."""

import os
import pathlib
import shutil
import threading

from trainer_worker.supervisor import environment, pipe, trainer_process
from trainer_worker.supervisor.main_thread import MainThread
from trainer_worker.supervisor.settings import Settings
from trainer_worker.supervisor.trainer_process import TrainerProcess
from trainer_worker.supervisor.trainer_record import MARK_VARIABLE, TrainerRecord
from tutelage_internal.v1 import pipe_pb2, workers_pb2


class Launcher:
    """Starts trainers with what they need, and keeps the list of those that run."""

    def __init__(self, settings: Settings, *, main_thread: MainThread, record: TrainerRecord) -> None:
        self._settings, self._main_thread, self._record = settings, main_thread, record
        self._running: dict[int, TrainerProcess] = {}
        self._lock = threading.Lock()

    def launch(self, assignment: workers_pb2.Assignment) -> TrainerProcess:
        """Starts a trainer and hands it the job. Raises OSError, and PipeError for a job that fits into no message."""
        launch = self._launch(assignment)
        pipe.frame(launch)  # what cannot be said is found out before there is a process
        temporary_dir = self.attempt_dir(assignment.attempt) / "tmp"
        temporary_dir.mkdir(parents=True, exist_ok=True)
        variables = environment.trainer_environment(
            os.environ,
            threads=self._settings.threads_per_slot,
            artifacts_url=self._settings.artifacts_url,
            scratch_dir=self._settings.scratch_dir,
            temporary_dir=temporary_dir,
        ) | {MARK_VARIABLE: self._record.mark}
        trainer = self._main_thread.do(lambda: self._spawn(variables))
        trainer.say(launch)
        return trainer

    def bury(self, trainer: TrainerProcess) -> int:
        """Ends what the trainer has left behind, reaps it and returns its exit code."""
        trainer.end_session()
        with self._lock:
            del self._running[trainer.pid]
        code = trainer.bury()
        self._record.remove(trainer.pid)
        return code

    def tick(self) -> None:
        """Tells every trainer that its supervisor lives."""
        with self._lock:
            running = list(self._running.values())
        for trainer in running:
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

    def _spawn(self, variables: dict[str, str]) -> TrainerProcess:
        trainer = trainer_process.spawn(self._settings.trainer_command, environment=variables)
        self._record.add(trainer.pid)
        with self._lock:
            self._running[trainer.pid] = trainer
        return trainer
