"""Running calls at once, in the caller: what the settings `task_always_eager` and its companions ask for.

For tests that want no mesh at all. A call goes through the serializer all the same, and what follows it runs as well; but
nothing runs beside anything else, and there is no time: `actorq.testing.mesh` has both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from actorq.errors import AlwaysEagerIgnored
from actorq.warning import warn_program
from actorq.wire.records import Outcome

KEPT = 10_000
"""Outcomes that are kept, with `task_store_eager_result`."""


class EagerSettings(Protocol):
    """The settings that this is about."""

    task_always_eager: bool
    task_eager_propagates: bool
    task_store_eager_result: bool


class HasSettings(Protocol):
    """`app.conf`."""

    @property
    def settings(self) -> EagerSettings: ...


class Inline:
    """An application's calls that run in the caller."""

    def __init__(self, conf: HasSettings) -> None:
        self._conf = conf
        self._kept: dict[str, Outcome] = {}

    @property
    def runs_here(self) -> bool:
        """Whether calls run at once, in the caller."""
        return self._conf.settings.task_always_eager

    @property
    def propagates(self) -> bool:
        """Whether a call that runs here raises what its task raises."""
        return self._conf.settings.task_eager_propagates

    def keep(self, outcomes: Mapping[str, Outcome]) -> None:
        """Calls have run here: with `task_store_eager_result` they can be found by their ids, in this process."""
        if self._conf.settings.task_store_eager_result:
            self._kept.update(outcomes)
            for task_id in list(self._kept)[: -KEPT or None]:
                del self._kept[task_id]

    def outcome_of(self, task_id: str) -> Outcome | None:
        """How a call has ended that has run here, if that was kept."""
        return self._kept.get(task_id)

    def warn_of(self, name: str) -> None:
        """A call is sent by name, whatever the settings say."""
        if self.runs_here:
            warn_program(
                f"send_task({name!r}) goes to the mesh although task_always_eager is set: a name has no function to run "
                f"here. Call the task itself, or use actorq.testing.mesh",
                AlwaysEagerIgnored,
            )
