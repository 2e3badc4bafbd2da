"""What becomes of a call whose task has neither returned nor failed, but said how it goes on."""

from __future__ import annotations

from actorq.errors import Ignore, Reject, TaskPredicate, TaskRevokedError
from actorq.wire.frames import body_of
from actorq.wire.messages import REPLACED, REVOKED, Call, CallSpec, Outcome
from actorq.wire.payload import encode_failure
from actorq.wire.replacements import rerun


def outcome_of(predicate: TaskPredicate, call: Call, spec: CallSpec) -> Outcome | None:
    """The outcome of a call; None if it has failed with `predicate` itself.

    One that goes on is reported to the coordinator only. So it has no client any more: nothing has to be looked for
    among the outcomes of others.
    """
    replacement = predicate.replacement
    if isinstance(predicate, Reject) and predicate.requeue:
        replacement = rerun(
            spec, Call(call.id, 1, call.body, expires=call.expires, extra=call.extra, inputs=call.inputs)
        )
    if replacement:
        call.client = 0
        return Outcome(call.id, call.attempt, REPLACED, body_of(replacement))
    if isinstance(predicate, Ignore):
        error = TaskRevokedError(f"its task, {spec.task}, ignored it: {predicate}")
        return Outcome(call.id, call.attempt, REVOKED, encode_failure(error, ""))
    return None
