"""How running tasks are made to end before they are done."""

from __future__ import annotations

from actorq.errors import SoftTimeLimitExceeded, Terminated, TimeLimitExceeded, WorkerLostError, WorkerShutdown
from actorq.wire.records import FAILURE, REVOKED, CallSpec


class Ending(BaseException):
    """Thrown into a task that is to end now.

    Not an Exception, so that ``except Exception`` in a task does not keep it alive, and not a GreenletExit, which tasks
    use for their own greenlets. Callers never see it: the outcome of the call is `error`, in the state `state`; with
    the state None it has no outcome, as its lease goes back.
    """

    def __init__(self, state: int | None, error: Exception) -> None:
        super().__init__(str(error))
        self.state = state
        self.error = error


class ShutDown(Ending, WorkerShutdown):
    """The ending of a task whose worker ends, by a name that the task may catch."""


def soft_limit(spec: CallSpec) -> SoftTimeLimitExceeded:
    """For a task that may clean up, or go on."""
    return SoftTimeLimitExceeded(f"{spec.task} ran for longer than its soft time limit of {spec.soft_time_limit_s:g} s")


def hard_limit(spec: CallSpec) -> Ending:
    """For a task that is over its hard time limit."""
    text = f"{spec.task} ran for longer than its time limit of {spec.time_limit_s:g} s"
    return Ending(FAILURE, TimeLimitExceeded(text))


def terminated() -> Ending:
    """For a task that was revoked with `terminate`."""
    return Ending(REVOKED, Terminated("it was revoked while it ran"))


def forgotten() -> Ending:
    """For a task whose lease was given away: nobody waits for an outcome of this attempt."""
    return Ending(None, Terminated("it was ended, as another worker has the call now"))


def shut_down(spec: CallSpec) -> Ending:
    """For a task whose worker ends now. Its lease goes back, unless it may run at most once: then it has failed."""
    if spec.at_most_once:
        return ShutDown(FAILURE, WorkerLostError(f"{spec.task} was ended with its worker, and may run only once"))
    return ShutDown(None, Terminated("it was ended with its worker; its lease goes back"))
