"""What is known of a job while it is watched, put together from its events."""

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tutelage

# A curve needs no more points than a terminal has columns, four to a character at most.
POINTS_MAX = 2000


@dataclasses.dataclass
class Story:
    """The latest of everything, and the curves so far."""

    name: str
    steps_total: int
    state: str
    model: str = ""
    step: int = 0
    epoch: int = 0
    message: str = ""
    tokens_per_second: float | None = None
    step_seconds: float | None = None
    checkpoint_step: int | None = None
    sample: "tutelage.SampleDrawn | None" = None
    blamed: "tutelage.RowsBlamed | None" = None
    rollbacks: int = 0
    losses: list[tuple[int, float]] = dataclasses.field(default_factory=list)
    validation_losses: list[tuple[int, float]] = dataclasses.field(default_factory=list)
    waiting_for: str = ""

    def hear(self, event: "tutelage.JobEvent") -> None:
        """Takes in one event."""
        self.epoch = event.epoch or self.epoch
        if event.state_changed is not None:
            self.state, self.message = event.state_changed.to.value, event.state_changed.message
            self.waiting_for = ""
        elif event.metric_logged is not None:
            self.hear_metric(event.metric_logged)
        elif event.sample_drawn is not None:
            self.sample = event.sample_drawn
        elif event.checkpoint_committed is not None:
            self.checkpoint_step = event.checkpoint_committed.step
        elif event.note is not None:
            self.message = event.note.message
        elif event.rows_blamed is not None:
            self.blamed = event.rows_blamed
        elif event.rolled_back is not None:
            self.go_back(event.rolled_back)

    def go_back(self, back: "tutelage.RolledBack") -> None:
        """Forgets the steps that are thrown away: they are computed again."""
        self.step = back.to_step
        self.rollbacks += 1
        self.losses = [point for point in self.losses if point[0] <= back.to_step]
        self.validation_losses = [point for point in self.validation_losses if point[0] <= back.to_step]

    def hear_metric(self, metric: "tutelage.MetricLogged") -> None:
        """Takes in the values of one step."""
        self.step = metric.step
        values = metric.values
        if "train/loss" in values:
            self.losses.append((metric.step, values["train/loss"]))
            self.losses = thin(self.losses)
        if "eval/loss" in values:
            self.validation_losses.append((metric.step, values["eval/loss"]))
        self.tokens_per_second = values.get("perf/tokens_per_second", self.tokens_per_second)
        if seconds := values.get("perf/step_seconds"):
            known = seconds if self.step_seconds is None else self.step_seconds
            self.step_seconds = 0.9 * known + 0.1 * seconds

    @property
    def loss(self) -> float | None:
        """Loss of the last step, in nats per token."""
        return self.losses[-1][1] if self.losses else None

    @property
    def validation_loss(self) -> float | None:
        """Loss of the last evaluation, in nats per token."""
        return self.validation_losses[-1][1] if self.validation_losses else None

    @property
    def remaining_seconds(self) -> float | None:
        """Seconds of training that are left, at the pace of the last steps."""
        return None if self.step_seconds is None else max(self.steps_total - self.step, 0) * self.step_seconds

    @property
    def is_waiting(self) -> bool:
        """Whether the job waits for a worker."""
        return self.state in ("QUEUED", "BACKOFF")


def thin(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Returns every other point once there are twice as many as a drawing can show; the last one stays."""
    return points if len(points) < 2 * POINTS_MAX else [*points[:-1:2], points[-1]]
