# Generated from tutelage/_async/duels.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""Duels: is a version better than another?"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Unpack

from tutelage import _blocking as colour
from tutelage._drawing import DrawingOptions, set_checker, set_drawing
from tutelage._errors import TutelageError, WaitTimeout
from tutelage._judgements import write_enum
from tutelage._names import duel_name, key_name, model_name, spoken_name
from tutelage._prompts import Prompts
from tutelage._retry import Patience, is_broken_line
from tutelage._sync.pages import walk_pages
from tutelage._sync.prompts import prompts_dataset
from tutelage._sync.transport import Transport
from tutelage._sync.watch import RECONNECT_S
from tutelage._values.duels import Duel, DuelVerdict
from tutelage._values.models import ModelVersionInfo
from tutelage.v1 import duels_pb2

POLL_S_MAX = 2.0
OPEN_VERDICTS = (DuelVerdict.UNSPECIFIED, DuelVerdict.UNDECIDED)


class Duels:
    """Compares versions: blind, in random order, with a test that may be looked at any time."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        champion: str | ModelVersionInfo,
        challenger: str | ModelVersionInfo,
        *,
        prompts: Prompts,
        name: str = "",
        judge: Literal["reviewers", "checker", "reward-model"] | None = None,
        checker: str | None = None,
        reward_model: str = "",
        error_rate: float | None = None,
        overlap: int | None = None,
        guidelines: str = "",
        reviewers: Sequence[str] = (),
        request_id: str | None = None,
        timeout: float | None = None,
        **options: Unpack[DrawingOptions],
    ) -> Duel:
        """Begins a duel of two versions, such as `chat@v3` and `chat@v4`, and returns it at once; see `wait`.

        The champion is the version to beat. `prompts` is a dataset, a path, or a list. The judge is people, unless a
        `checker` (`python-parses`, `contains=def` …) or a `reward_model` is named. `error_rate` is the chance of
        calling two equal versions different, however often one looks (default 0.05). Raises: NotFound for a version or
        the prompts, InvalidArgument if both are the same version.
        """
        duel = duels_pb2.Duel(
            champion=model_name(str(getattr(champion, "name", champion))),
            challenger=model_name(str(getattr(challenger, "name", challenger))),
            prompts=prompts_dataset(self._transport, prompts),
            judge=judge_of(judge, checker=checker, reward_model=reward_model),
            reward_model=model_name(reward_model) if reward_model else "",
            guidelines=guidelines,
            reviewers=[key_name(key) for key in reviewers],
        )
        for field, value in (("error_rate", error_rate), ("overlap", overlap)):
            if value is not None:
                setattr(duel, field, value)
        set_checker(duel, checker)
        set_drawing(duel, options)
        request = duels_pb2.CreateDuelRequest(
            parent="projects/-", duel_id=name, duel=duel, request_id=request_id or str(uuid.uuid4())
        )
        return Duel.from_message(self._transport.call("Duels", "CreateDuel", request, timeout=timeout))

    def get(self, duel: str, *, timeout: float | None = None) -> Duel:
        """Returns one duel with what its judge has said up to now. Raises: NotFound."""
        request = duels_pb2.GetDuelRequest(name=duel_name(duel))
        return Duel.from_message(self._transport.call("Duels", "GetDuel", request, timeout=timeout))

    def list(self, *, page_size: int = 0, timeout: float | None = None) -> Iterator[Duel]:
        """Yields duels, newest first."""
        request = duels_pb2.ListDuelsRequest(parent="projects/-", page_size=page_size)
        for message in walk_pages(self._transport, "Duels", "ListDuels", request, timeout=timeout):
            yield Duel.from_message(message)

    def wait(
        self,
        duel: str | Duel,
        *,
        timeout: float | None = None,
        on_change: Callable[[Duel], object] | None = None,
    ) -> Duel:
        """Waits until a duel has a verdict, whatever it is, and returns it.

        `on_change` is called with each new state of its result. Raises: WaitTimeout after `timeout` seconds, while the
        duel goes on; Unavailable if the service stays away for ten minutes.
        """
        name = duel if isinstance(duel, str) else duel.name
        limit, patience = Patience(float("inf") if timeout is None else timeout), Patience(RECONNECT_S)
        pause_s, before = 0.1, None
        while True:
            seen = self._look(name, patience)
            if seen is not None and seen.result != before and on_change is not None:
                on_change(seen)
            if seen is not None and is_decided(seen):
                return seen
            before = seen.result if seen is not None else before
            if not limit.covers(0):
                raise WaitTimeout(f"{spoken_name(name)} has no verdict after {timeout:g} s; it goes on")
            colour.sleep(min(pause_s, limit.left_s()))
            pause_s = min(pause_s * 1.5, POLL_S_MAX)

    def _look(self, name: str, patience: Patience) -> Duel | None:
        try:
            seen = self.get(name)
        except TutelageError as error:
            if not is_broken_line(error) or not patience.covers(0):
                raise
            return None
        patience.renew()
        return seen


def is_decided(duel: Duel) -> bool:
    """Says whether a duel has a verdict."""
    return duel.result is not None and duel.result.verdict not in OPEN_VERDICTS


def judge_of(judge: str | None, *, checker: str | None, reward_model: str) -> Any:
    """Returns the number of the judge: the one that was named, else what was given to judge with."""
    found = judge or ("checker" if checker else "reward-model" if reward_model else "")
    return write_enum(duels_pb2.DuelJudge, found, field="judge")
