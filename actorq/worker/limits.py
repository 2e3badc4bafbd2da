"""Which running calls are to end, and how far that has come. Decisions only; the watchdog carries them out.

There is no timer for a call and nothing to take back when it ends in time: the watchdog looks at what runs, some twenty
times a second. A call that is to end is asked in three ways, each more drastic than the one before:

1. the hub throws an exception into it, where it waits;
2. if the hub is stuck in it, a signal handler raises the exception between two bytecodes;
3. if a second later it still runs, in C code or because it catches everything, the process is replaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actorq.wire.records import Call
from actorq.worker.endings import Ending, hard_limit, soft_limit
from actorq.worker.slots import NO_CALL

if TYPE_CHECKING:
    from actorq.worker.base import Run

GRACE_S = 1.0
"""For how long a call may clean up after it was made to end."""


@dataclass(slots=True, eq=False)
class End:
    """One call that is to end. The hub's thread sets `delivered_s`, the watchdog does the rest."""

    run: Run
    """Its `call` is another object as soon as this one has ended."""
    call: Call
    error: BaseException
    asked_s: float
    delivered_s: float = 0.0
    """When the exception was last raised in it; 0: not yet."""
    is_repeated: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the call must end. Else it may go on: that was its soft limit."""
        return isinstance(self.error, Ending)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.run.call is not self.call


@dataclass(slots=True)
class Steps:
    """What is to be done now."""

    throw: list[End] = field(default_factory=list)
    """Have the hub raise the exception."""
    overdue: list[End] = field(default_factory=list)
    """The exception was not raised yet: have a signal handler do it, if it is this call that the hub is stuck in."""
    replace: list[End] = field(default_factory=list)
    """The call is past its grace: the process has to go."""


class Limits:
    """All calls that are to end. For one thread, but for `pending`."""

    def __init__(self) -> None:
        self._ends: dict[Run, End] = {}

    def pending(self) -> list[End]:
        """Those that the exception was not raised in yet. From any thread: `list` copies in one step."""
        return [end for end in list(self._ends.values()) if not end.delivered_s and not end.is_over]

    def end(self, run: Run, call: Call, error: BaseException, now_s: float) -> End | None:
        """Make a call end. Returns the new End; None if it has ended, or is being ended at least as much."""
        known = self._ends.get(run)
        if known is not None and known.call is call and (known.is_final or not isinstance(error, Ending)):
            return None
        if run.call is not call:
            return None
        end = self._ends[run] = End(run, call, error, now_s)
        if end.is_final:
            run.ending = call
        return end

    def check(self, runs: Iterable[Run], now_s: float) -> list[End]:
        """Those that are over a time limit, of all that run. Each is returned once."""
        ends = []
        for run in runs:
            call = run.call
            spec, ran_s = run.spec, now_s - run.started_s
            if run.call is not call:
                continue  # It ended while we looked, so these were not all its own.
            error: BaseException | None = None
            if 0 < spec.time_limit_s <= ran_s:
                error = hard_limit(spec)
            elif 0 < spec.soft_time_limit_s <= ran_s:
                error = soft_limit(spec)
            if error is not None:
                end = self.end(run, call, error, now_s)
                if end is not None:
                    ends.append(end)
        return ends

    def steps(self, now_s: float, patience_s: float) -> Steps:
        """What is to be done. `patience_s`: how soon a hub that is not stuck has done what it was asked for."""
        steps = Steps()
        for run, end in list(self._ends.items()):
            if end.is_over:
                del self._ends[run]
                run.ending = NO_CALL
            elif not end.delivered_s:
                if now_s - end.asked_s >= GRACE_S and end.is_final:
                    steps.replace.append(end)
                if now_s - end.asked_s >= patience_s:
                    steps.overdue.append(end)
            elif end.is_final and now_s - end.delivered_s >= GRACE_S / 2:
                if end.is_repeated:
                    steps.replace.append(end)
                else:
                    end.is_repeated = True
                    end.asked_s, end.delivered_s = now_s, 0.0
                    steps.throw.append(end)
        return steps
