"""What is announced of a call that is submitted, as signals, where somebody is connected to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actorq import signals
from actorq.wire.records import CallSpec

SHOWN_CHARS = 1024
"""Of the arguments in headers."""


class Publication:
    """One call on its way to the session."""

    def __init__(
        self, spec: CallSpec, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> None:
        self._spec = spec
        self._options = {**options, "task_id": task_id}
        self._own_headers = dict(options.get("headers") or {})
        self._known = _headers(spec, task_id, args, kwargs, options)
        self._headers = {**self._known, **self._own_headers}
        self._message = {
            "body": (tuple(args), dict(kwargs), {}),
            "exchange": "",
            "routing_key": spec.queue,
            "headers": self._headers,
        }

    def before(self) -> dict[str, Any]:
        """Announce it. Returns the options of the call, with the headers that receivers have added."""
        signals.before_task_publish.send(
            self._spec.task,
            properties={"correlation_id": self._options["task_id"], "priority": self._spec.priority},
            declare=[],
            retry_policy=self._options.get("retry_policy"),
            **self._message,
        )
        added = {name: value for name, value in self._headers.items() if self._known.get(name, _NOTHING) is not value}
        return {**self._options, "headers": {**self._own_headers, **added}} if added else self._options

    def after(self) -> None:
        """It was handed over."""
        signals.after_task_publish.send(self._spec.task, **self._message)


def published(spec: CallSpec, task_id: str) -> None:
    """A call of a workflow was handed over, with all others of that."""
    headers = {"task": spec.task, "id": task_id}
    signals.after_task_publish.send(spec.task, body=None, exchange="", routing_key=spec.queue, headers=headers)


_NOTHING = object()


def _headers(
    spec: CallSpec, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """What is known of the call, under the names of Celery's protocol."""
    return {
        "lang": "py",
        "task": spec.task,
        "id": task_id,
        "root_id": options.get("root_id") or task_id,
        "parent_id": options.get("parent_id"),
        "group": options.get("group_id"),
        "eta": options.get("eta"),
        "expires": options.get("expires"),
        "retries": 0,
        "timelimit": [spec.time_limit_s or None, spec.soft_time_limit_s or None],
        "ignore_result": spec.ignore_result,
        "shadow": options.get("shadow"),
        "argsrepr": options.get("argsrepr") or repr(args)[:SHOWN_CHARS],
        "kwargsrepr": options.get("kwargsrepr") or repr(kwargs)[:SHOWN_CHARS],
    }
