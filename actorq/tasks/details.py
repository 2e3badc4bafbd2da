"""What the mesh says of one call: where it is, and what it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from actorq.states import QUEUED, READY_STATES, RETRY, SCHEDULED
from actorq.wire.payload import Serializers

WAITING = frozenset({QUEUED, SCHEDULED, RETRY})
"""States of calls that have come somewhere, and wait there."""


@dataclass(frozen=True, slots=True)
class CallDetails:
    """A call, as its coordinator knows it. What it does not know is None: of a call that has settled all but `state`,
    `worker` and `date_done`, unless the setting `result_extended` was on where it was made. Times have their zone: UTC.
    """

    id: str
    state: str
    """As `AsyncResult.state`, and QUEUED (it waits in its queue) or SCHEDULED (for its time, or for those before it in its
    workflow) where that is PENDING."""
    worker: str | None = None
    """Name of the worker node that has it, or has run it."""
    date_done: datetime | None = None
    """When it has settled."""
    since: datetime | None = None
    """When it came into its queue, to a quarter of a second; before that, when it was submitted."""
    eta: datetime | None = None
    """Its earliest start, while that is to come."""
    expires: datetime | None = None
    """Its latest start."""
    name: str | None = None
    """Of its task."""
    queue: str | None = None
    args: list[Any] | None = None
    """Without what it takes from those before it in its workflow. None also where they are large (64 KiB), or `sensitive`."""
    kwargs: dict[str, Any] | None = None
    retries: int | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group_id: str | None = None

    def history(self) -> list[tuple[str, datetime | None]]:
        """The states that are known, in order, each with when it began; None where that is not known."""
        if self.state in WAITING:
            return [(self.state, self.since)]
        waited = [] if self.since is None else [(QUEUED, self.since)]
        return [*waited, (self.state, self.date_done if self.state in READY_STATES else None)]


def details_in(replies: Mapping[str, Any], task_id: str, serializers: Serializers) -> CallDetails | None:
    """What coordinators have answered to the command ``call_details``; the one that says most, if several know the call."""
    known = [reply[task_id] for reply in replies.values() if isinstance(reply, Mapping) and task_id in reply]
    if not known:
        return None
    said = max(known, key=lambda each: ("date_done" in each, len(each)))
    args, kwargs = serializers.decode_call(said["serializer"], said["body"]) if said.get("body") else (None, None)
    return CallDetails(
        task_id,
        said["state"],
        said["worker"] or None,
        _moment(said.get("date_done")),
        _moment(said.get("came")),
        _moment(said.get("not_before")),
        _moment(said.get("expires")),
        said.get("name"),
        said.get("queue"),
        args,
        kwargs,
        said.get("retries"),
        said.get("root") or None,
        said.get("parent") or None,
        said.get("group") or None,
    )


def _moment(unix_s: float | None) -> datetime | None:
    return datetime.fromtimestamp(unix_s, timezone.utc) if unix_s else None
