"""The session of an application with a mesh in the same process: as the real one, but nothing runs in the background."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from actorq.client.pending import Pending
from actorq.client.session import Session
from actorq.config import ClientSettings
from actorq.native import Bell
from actorq.testing.coordinator_node import ADDRESS
from actorq.testing.scheduler import Scheduler, WouldWaitForEver
from actorq.wire.records import Call, Plan

logger = logging.getLogger("actorq.testing")

LOOP_TURNS = 5
"""What an outcome sets off in an event loop takes a turn for each queue, future or task that it goes through."""

OnSubmit = Callable[["MeshSession", Call], None]


class MeshSession(Session):
    """Whoever waits for something runs the mesh until it is there."""

    def __init__(self, scheduler: Scheduler, settings: ClientSettings, on_submit: OnSubmit) -> None:
        """`on_submit` hears of each call."""
        self._scheduler = scheduler
        self._on_submit = on_submit
        super().__init__([ADDRESS], settings)
        self.callbacks = MeshCallbacks(scheduler)  # type: ignore[assignment]

    def _start(self) -> None:
        self._link = self._scheduler.link("client", self._turn)  # type: ignore[assignment]
        self.core = self._new_core(self._link.listen("tcp://127.0.0.1:*"))

    def now_s(self) -> float:
        return self._scheduler.loop.now_s

    def wall_s(self) -> float:
        return self._scheduler.wall_s

    def new_bell(self) -> Bell:
        return self._scheduler.bell()

    def submit(
        self, pending: Pending, call: Call, timeout_s: float | None, wait: bool = True, chosen_id: bool = False
    ) -> None:
        self._on_submit(self, call)
        super().submit(pending, call, timeout_s, wait, chosen_id)

    def submit_plan(self, plan: Plan, pendings: Sequence[Pending], timeout_s: float | None) -> None:
        for node in plan.nodes:
            self._on_submit(self, node.call)
        super().submit_plan(plan, pendings, timeout_s)

    def subscribe(self, pending: Pending, notify: Callable[[], None]) -> Callable[[], None]:
        unsubscribe = super().subscribe(pending, notify)
        if not pending.is_settled() and not self._scheduler.is_task():
            self._run_in_event_loop(pending)
        return unsubscribe

    def close(self, timeout_s: float = 5.0) -> None:
        if self.is_over:
            return
        self.is_over = True
        if not self._scheduler.is_closed:
            self.flush(timeout_s)
            self._link.stop()
        self._end()

    # -- in coroutines of the test -------------------------------------------------------------------------------

    def _run_in_event_loop(self, pending: Pending) -> None:
        """Somebody awaits the call in an event loop that is not the mesh's: have that run the mesh."""
        if "asyncio" not in sys.modules:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        loop.call_soon(partial(self._run_for, pending, loop))

    def _run_for(self, pending: Pending, loop: asyncio.AbstractEventLoop) -> None:
        """Run the mesh until the call has settled, or nobody waits for it any more. The loop has some turns each time
        before the clock of the mesh goes on.
        """
        if pending.is_settled() or self._scheduler.is_closed:
            return
        try:
            self._scheduler.run_until_idle()
            if not pending.is_settled():
                loop.call_soon(partial(self._go_on_for, pending, loop, LOOP_TURNS))
        except Exception as error:
            pending.fail(error)

    def _go_on_for(self, pending: Pending, loop: asyncio.AbstractEventLoop, turns: int) -> None:
        if turns:
            loop.call_soon(partial(self._go_on_for, pending, loop, turns - 1))
            return
        if not pending.waiters:
            return
        try:
            self._scheduler.run_on()
        except WouldWaitForEver as error:
            pending.fail(error)
        else:
            self._run_for(pending, loop)


class MeshCallbacks:
    """Callbacks of results (see `actorq.client.callbacks`) are steps of the mesh."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def deliverer(self, fn: Callable[[], object]) -> Callable[[], None]:
        """A function that has `fn` run soon. What it raises is logged."""

        def run() -> Any:
            try:
                fn()
            except Exception:
                logger.exception("a callback of a result has failed")

        return lambda: self._scheduler.call_soon(run)
