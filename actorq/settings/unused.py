"""What Celery's constructor takes and ours has no use for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actorq.errors import SettingIgnored, nearest
from actorq.warning import warn_program

_PART = "parts of an application cannot be exchanged"
WHY = {
    "loader": "settings come from config_from_object, modules with tasks from include",
    "fixups": "there are none to choose from",
    "amqp": _PART,
    "events": _PART,
    "log": _PART,
    "control": _PART,
    "tasks": _PART,
    "autofinalize": "tasks are complete when they are defined",
    "strict_typing": "the arguments of calls are always checked against the signature",
}
KNOWN = ("url", "broker", "backend", "key", "include", "config_source", "namespace", "changes", "accept_content")


def check_unused(arguments: Mapping[str, Any]) -> None:
    """Warn of what has no use here. Raises TypeError, with the nearest known name, for what Celery does not know either."""
    for name, value in arguments.items():
        if name not in WHY:
            hint = nearest(name, [*KNOWN, *WHY]) or "settings are given as changes={...}"
            raise TypeError(f"ActorQ() takes no argument {name!r}: {hint}")
        if value not in (None, True):
            warn_program(f"ActorQ({name}=...) does nothing here: {WHY[name]}", SettingIgnored)
