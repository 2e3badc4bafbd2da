"""The options of tasks and of single calls: which there are, and what they become on the wire."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Any

import msgspec

from actorq.config import HIGHEST_PRIORITY, LOWEST_PRIORITY
from actorq.errors import ImproperlyConfigured, nearest
from actorq.policies.queues import Exchange, Queue
from actorq.policies.rate import parse_rate
from actorq.tasks.keys import KEY_OPTIONS
from actorq.warning import warn_program
from actorq.wire.records import CallSpec

SPEC_OPTIONS = {
    "queue": "queue",
    "priority": "priority",
    "serializer": "serializer",
    "compression": "compression",
    "sensitive": "sensitive",
    "time_limit": "time_limit_s",
    "soft_time_limit": "soft_time_limit_s",
    "max_deliveries": "max_deliveries",
    "acks_late": "acks_late",
    "ignore_result": "ignore_result",
    "result_extended": "extended",
    "rate_limit": "rate",
    "max_concurrency": "max_concurrency",
    "scope": "limits_worker",
    "exchange": "exchange",
    "routing_key": "routing_key",
    "routing_headers": "routing_headers",
}
"""Options of a task, or of one call, and the fields of CallSpec that they set."""
CALL_OPTIONS = frozenset(
    {"countdown", "eta", "expires", "task_id", "retry", "retry_policy", "publish_timeout", *KEY_OPTIONS}
)
REQUEST_OPTIONS = frozenset(
    {
        "headers",
        "shadow",
        "argsrepr",
        "kwargsrepr",
        "reply_to",
        "correlation_id",
        "origin",
        "replaced_task_nesting",
        "stamped_headers",
    }
)
"""Options of a call that its task finds in `task.request`, each under its own name."""
PLACE_OPTIONS = {"root_id": "root", "parent_id": "parent", "group_id": "group", "group_index": "group_index"}
"""Options that say where a call belongs to, and the fields of Extra that they set."""
APPLY_OPTIONS = CALL_OPTIONS | REQUEST_OPTIONS | PLACE_OPTIONS.keys() | {"add_to_parent"}
"""All options of a call that are not its spec's."""
BROKER_OPTIONS = frozenset(
    {
        "producer",
        "connection",
        "router",
        "publisher",
        "delivery_mode",
        "mandatory",
        "immediate",
        "timeout",
        "confirm_timeout",
        "expiration",
    }
)
"""What Celery passes on to its broker. There is none here: they are ignored, with one warning."""

_LAST_S = 253_402_300_799.0
"""The end of the last year that a datetime knows."""
_LONG_AGO_S = 1.0
"""In the past, and not 0, which means none."""


def make_spec(spec: CallSpec, options: Mapping[str, Any]) -> CallSpec:
    """`spec` with the options changed. Raises ImproperlyConfigured for values that cannot be."""
    changes: dict[str, Any] = {}
    for name, value in options.items():
        if value is not None or "limit" in name:
            changes.update(_fields_of(name, value))
    changed = msgspec.structs.replace(spec, **changes)
    try:
        changed = msgspec.convert(msgspec.to_builtins(changed), CallSpec)
    except msgspec.ValidationError as error:
        raise ImproperlyConfigured(
            f"task {spec.task!r}: {_by_option(str(error))}. Options given: {dict(options)}"
        ) from None
    if not changed.queue and not changed.exchange and not changed.routing_key:
        raise ImproperlyConfigured(
            f"task {spec.task!r}: queue is empty: name one, or leave it out for the default queue"
        )
    if changed.soft_time_limit_s > changed.time_limit_s > 0:
        raise ImproperlyConfigured(
            f"task {spec.task!r}: soft_time_limit ({changed.soft_time_limit_s} s) is above time_limit "
            f"({changed.time_limit_s} s)"
        )
    return changed


def _fields_of(option: str, value: Any) -> dict[str, Any]:
    """The fields of CallSpec that an option sets."""
    if option == "rate_limit":
        rate = parse_rate(value)
        return {"rate": rate.starts, "rate_period_s": rate.period_s} if rate else {"rate": 0.0, "rate_period_s": 1.0}
    if option == "scope":
        if value not in ("cluster", "worker"):
            raise ImproperlyConfigured(f"scope is 'cluster' or 'worker', and not {value!r}")
        return {"limits_worker": value == "worker"}
    if option == "priority":
        return {"priority": _priority(value)}
    return {SPEC_OPTIONS[option]: _seconds(value) if option.endswith("time_limit") else _named(value)}


def _priority(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not LOWEST_PRIORITY <= value <= HIGHEST_PRIORITY:
        raise ImproperlyConfigured(
            f"priority is a number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}, which goes first, and not {value!r}"
        )
    return value


def _by_option(reason: str) -> str:
    """Why a spec cannot be, with the option named in place of the field's number (`msgspec` says ``$[6]``)."""
    place = re.search(r"\$\[(\d+)\]", reason)
    if place is None:
        return reason
    field = CallSpec.__struct_fields__[int(place[1])]
    option = next((option for option, name in SPEC_OPTIONS.items() if name == field), field)
    return f"{option}: {reason}"


def _named(value: Any) -> Any:
    """A queue or an exchange is sent by its name."""
    return value.name if isinstance(value, (Queue, Exchange)) else value


def split_options(
    options: Mapping[str, Any], known: Iterable[str] = APPLY_OPTIONS
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of a call: those that change its spec, and the others.

    Names in `stamped_headers` are options, too. Raises ImproperlyConfigured for a name that is not known.
    """
    if not BROKER_OPTIONS.isdisjoint(options):
        options = _without_broker_options(options)
    stamps, headers = options.get("stamped_headers") or (), options.get("headers")
    if headers is not None and not isinstance(headers, Mapping):
        raise ImproperlyConfigured(f"headers is a dict of what the task finds in request.headers, and not {headers!r}")
    check_options(options, (*SPEC_OPTIONS, *known, *stamps))
    changes = {name: value for name, value in options.items() if name in SPEC_OPTIONS}
    return changes, {name: value for name, value in options.items() if name not in SPEC_OPTIONS and value is not None}


def _without_broker_options(options: Mapping[str, Any]) -> dict[str, Any]:
    names = ", ".join(sorted(BROKER_OPTIONS.intersection(options)))
    warn_program(f"ignored, as there is no broker: {names}")
    return {name: value for name, value in options.items() if name not in BROKER_OPTIONS}


def _seconds(value: Any) -> float:
    limit_s = 0.0 if value is None else _finite("a time limit", value)
    if limit_s < 0:
        raise ImproperlyConfigured(f"a time limit is a number of seconds above 0, or None, and not {value!r}")
    return limit_s


def _finite(what: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ImproperlyConfigured(f"{what} is a number of seconds, and not {value!r}")
    return number


def check_options(options: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise ImproperlyConfigured, with the nearest known name, if an option is not known."""
    for name in options:
        if name not in known:
            hint = nearest(name, known) or f"known are {', '.join(sorted(known))}"
            raise ImproperlyConfigured(f"there is no option {name!r}: {hint}")


def start_time_s(
    countdown: float | None, eta: datetime | float | str | None, now_s: float, zone: tzinfo | None = None
) -> float:
    """Unix time of the earliest start; 0: at once. `zone` is meant where none is said; None: local time.

    Raises ImproperlyConfigured.
    """
    if countdown is not None and eta is not None:
        raise ImproperlyConfigured("give countdown or eta, not both")
    if countdown is not None:
        seconds = _finite("countdown", countdown)
        return _in_calendar("countdown", now_s + seconds) if seconds > 0 else 0.0
    return 0.0 if eta is None else _in_calendar("eta", max(_unix_s("eta", eta, zone), 0.0))


def expiry_time_s(expires: datetime | float | str | None, now_s: float, zone: tzinfo | None = None) -> float:
    """Unix time of the latest start; 0: none. A number is in seconds from now. `zone` as for `start_time_s`.

    Raises ImproperlyConfigured.
    """
    if expires is None:
        return 0.0
    if isinstance(expires, (datetime, str)):
        return max(_unix_s("expires", expires, zone), _LONG_AGO_S)
    return _in_calendar("expires", now_s + max(_finite("expires", expires), 0.0))


def _unix_s(what: str, moment: datetime | float | str, zone: tzinfo | None) -> float:
    if isinstance(moment, str):
        moment = _parsed(what, moment)
    if not isinstance(moment, datetime):
        return _finite(what, moment)
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.timestamp()
    except (OverflowError, OSError, ValueError) as error:
        raise ImproperlyConfigured(f"{what} {moment!r} is no time that can be used: {error}") from None


def _in_calendar(what: str, unix_s: float) -> float:
    if unix_s > _LAST_S:
        raise ImproperlyConfigured(f"{what} is after the year 9999: leave it out for a call that has no such time")
    return unix_s


def _parsed(what: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ImproperlyConfigured(f"{what} {text!r} is no time in ISO 8601, such as 2030-01-31T12:00:00") from None
