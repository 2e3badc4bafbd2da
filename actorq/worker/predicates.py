"""What becomes of a call whose task has neither returned nor failed, but said how it goes on."""

from __future__ import annotations

from actorq import ids
from actorq.errors import ActorqError, Ignore, Reject, TaskPredicate, TaskRevokedError
from actorq.wire.frames import body_of
from actorq.wire.payload import encode_failure
from actorq.wire.records import REPLACED, REVOKED, Call, Outcome
from actorq.wire.replacements import rerun
from actorq.worker.jobs import Job


def outcome_of(predicate: TaskPredicate, call: Call, job: Job) -> Outcome | None:
    """The outcome of a call; None if it has failed with `predicate` itself."""
    replacement = predicate.replacement
    if isinstance(predicate, Reject) and predicate.requeue:
        replacement = _unchanged(call, job)
    if replacement:
        return Outcome(call.id, call.attempt, REPLACED, body_of(replacement))
    if isinstance(predicate, Ignore):
        why = str(predicate)
        error = TaskRevokedError(f"its task, {job.spec.task}, ignored it{': ' if why else ''}{why}")
        return Outcome(call.id, call.attempt, REVOKED, encode_failure(error, ""))
    return None


def _unchanged(call: Call, job: Job) -> bytes:
    """The call as it is; empty if it has taken something from another call that cannot be sent once more."""
    try:
        again = Call(call.id, 1, job.whole_body(call), expires=call.expires, extra=call.extra)
    except ActorqError:
        return b""
    return rerun(job.spec, again, ids.random_id())
