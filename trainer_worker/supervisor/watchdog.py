"""How long a trainer may go without a sign of progress."""

from dataclasses import dataclass

from tutelage_internal.v1 import pipe_pb2

_NAMES = {
    pipe_pb2.SECTION_LOAD: "loading",
    pipe_pb2.SECTION_FIRST_STEP: "the first step",
    pipe_pb2.SECTION_STEP: "a step",
    pipe_pb2.SECTION_EVALUATE: "evaluation",
    pipe_pb2.SECTION_CHECKPOINT: "writing a checkpoint",
}


@dataclass(frozen=True, kw_only=True)
class SectionLimits:
    """Longest time without progress in each section, in seconds."""

    load_s: float = 600.0  # a dataset of 10 GB at 50 MB/s from a cold bucket, and a tokenizer trained on it
    first_step_s: float = 600.0  # inductor compiles for 10 to 30 s on two cores; large models for minutes
    step_s: float = 300.0  # no sensible optimizer step takes minutes; a hung collective takes for ever
    evaluate_s: float = 600.0  # up to 100,000 sequences without a sign in between
    checkpoint_s: float = 600.0  # 10 GB at 20 MB/s to a slow bucket

    def of(self, section: "pipe_pb2.Section.ValueType") -> float:
        """The limit of a section."""
        return {
            pipe_pb2.SECTION_LOAD: self.load_s,
            pipe_pb2.SECTION_FIRST_STEP: self.first_step_s,
            pipe_pb2.SECTION_STEP: self.step_s,
            pipe_pb2.SECTION_EVALUATE: self.evaluate_s,
            pipe_pb2.SECTION_CHECKPOINT: self.checkpoint_s,
        }.get(section, self.step_s)


class Watchdog:
    """Remembers the last sign of progress of one trainer. Time is handed in."""

    def __init__(self, limits: SectionLimits, *, now_s: float) -> None:
        self._limits = limits
        self._section: pipe_pb2.Section.ValueType = pipe_pb2.SECTION_LOAD
        self._since_s = now_s
        self._held = False
        self.step = 0

    def progress(self, progress: pipe_pb2.Progress, *, now_s: float) -> None:
        """Takes a sign of progress."""
        self._section, self.step, self._since_s = progress.section, progress.step, now_s

    def hold(self) -> None:
        """The trainer is kept waiting by us, because the spool is full: this is no hang of its own."""
        self._held = True

    def release(self, *, now_s: float) -> None:
        """The trainer is being listened to again."""
        self._held, self._since_s = False, now_s

    def overdue(self, *, now_s: float) -> str | None:
        """Says what took too long, or None."""
        limit_s = self._limits.of(self._section)
        if self._held or now_s - self._since_s <= limit_s:
            return None
        name = _NAMES.get(self._section, "an unknown section")
        return f"no progress for {limit_s:g} s in {name}, after step {self.step}"
