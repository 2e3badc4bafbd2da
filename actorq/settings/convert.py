"""What the values of settings may be given as: what Python programs write, and the text that an environment has.

A converter takes the value as it was given and returns it as it is kept, or raises ValueError, saying what it takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta, tzinfo
from typing import Annotated, Any

from actorq.config import DEFAULT_ADDRESS, HIGHEST_PRIORITY, LOWEST_PRIORITY
from actorq.policies.addresses import parse_url
from actorq.policies.rate import parse_rate
from actorq.policies.retry import RetryPolicy

Converter = Callable[[Any], Any]

YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
BROKERS = (
    "redis",
    "rediss",
    "sentinel",
    "amqp",
    "amqps",
    "pyamqp",
    "sqs",
    "kafka",
    "confluentkafka",
    "mongodb",
    "memory",
)
"""Schemes of the brokers that programs for Celery are likely to name."""
POOLS = {
    "green": "gevent",
    "gevent": "gevent",
    "eventlet": "gevent",
    "threads": "threads",
    "solo": "solo",
    "processes": "processes",
    "prefork": "processes",
}
"""Names of pools, Celery's too, and what they stand for here."""
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def text(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise ValueError(f"it takes a string, and not {value!r}")
    return value


def path(value: Any) -> str:
    """The path of a file."""
    return text(value.__fspath__() if hasattr(value, "__fspath__") else value)


def flag(value: Any) -> bool:
    """True or False; in text also yes and no, on and off, 1 and 0."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in YES or word in NO:
        return word in YES
    raise ValueError(f"it takes True or False, and not {value!r}")


def count(value: Any) -> int:
    """A whole number from 1 on."""
    number = _whole(value)
    if number < 1:
        raise ValueError(f"it takes a whole number from 1 on, and not {value!r}")
    return number


def priority(value: Any) -> int:
    """A priority."""
    number = _whole(value)
    if not LOWEST_PRIORITY <= number <= HIGHEST_PRIORITY:
        raise ValueError(f"it takes a number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}, and not {value!r}")
    return number


def seconds(value: Any) -> float:
    """A number of seconds, or a timedelta."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"it takes a number of seconds from 0 on, or a timedelta, and not {value!r}")
    return number


def names(value: Any) -> tuple[str, ...]:
    """Several names: a list of them, or a string with commas between."""
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"it takes a list of names, or a string with commas between them, and not {value!r}")
    return tuple(name for name in dict.fromkeys(value) if name)


def mapping(value: Any) -> Mapping[str, Any]:
    """A dict."""
    if not isinstance(value, Mapping):
        raise ValueError(f"it takes a dict, and not {value!r}")
    return dict(value)


def anything(value: Any) -> Any:
    """What is looked at where it is used."""
    return value


def url(value: Any) -> str:
    """Addresses of coordinators; several in a list, or with commas or semicolons between."""
    joined = ",".join(value) if isinstance(value, (list, tuple)) else text(value).replace(";", ",")
    scheme = joined.partition(":")[0].partition("+")[0]
    if scheme in BROKERS:
        raise ValueError(
            f"{scheme}:// is a broker, and none is needed here: start a coordinator (actorq coordinator, or actorq up) "
            f"and name it, as in {DEFAULT_ADDRESS}, or have a mesh inside the program with local://"
        )
    parse_url(joined)
    return joined


def retry_policy(value: Any) -> Mapping[str, Any]:
    """Celery's policy, a dict."""
    policy = {key: each for key, each in mapping(value).items() if key != "retry_errors"}
    try:
        RetryPolicy.of(policy).budget_s()
    except TypeError as error:
        raise ValueError(f"its values are numbers ({error})") from None
    return policy


def zone(value: Any) -> str | tzinfo:
    """A time zone's name, as in Europe/Berlin; or a tzinfo."""
    if isinstance(value, tzinfo):
        return value
    from zoneinfo import ZoneInfo  # Slow to import, and seldom needed.

    try:
        ZoneInfo(text(value))
    except (KeyError, OSError, ValueError):
        raise ValueError(f"it takes the name of a time zone, such as Europe/Berlin or UTC, and not {value!r}") from None
    return text(value)


def amendments(value: Any) -> Any:
    """What changes tasks."""
    for each in value if isinstance(value, (list, tuple)) else [value]:
        is_object = hasattr(each, "annotate") or hasattr(each, "annotate_any")
        if not (isinstance(each, (Mapping, str)) or is_object):
            raise ValueError(
                f"it takes a dict of options by the name of a task, an object with annotate(task), the name of its class, "
                f"or a list of these, and not {each!r}"
            )
    return value


def rate(value: Any) -> Any:
    """How many calls may start."""
    parse_rate(value)
    return value


def pool(value: Any) -> str:
    """The kind of a pool."""
    found = POOLS.get(text(value))
    if found is None:
        raise ValueError(f"it takes one of {', '.join(POOLS)}, and not {value!r}")
    return found


def level(value: Any) -> str:
    """A level of the log."""
    name = text(value).upper()
    if name not in LEVELS:
        raise ValueError(f"it takes one of {', '.join(LEVELS)}, and not {value!r}")
    return name


def _whole(value: Any) -> int:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or number != int(number):
        raise ValueError(f"it takes a whole number, and not {value!r}")
    return int(number)


Text = Annotated[str, text]
Path = Annotated[str, path]
Flag = Annotated[bool, flag]
Count = Annotated[int, count]
Priority = Annotated[int, priority]
Seconds = Annotated[float, seconds]
Names = Annotated[tuple[str, ...], names]
Table = Annotated[Mapping[str, Any], mapping]
Anything = Annotated[Any, anything]
Url = Annotated[str, url]
Policy = Annotated[Mapping[str, Any], retry_policy]
Zone = Annotated[str | tzinfo, zone]
Annotations = Annotated[Any, amendments]
Pool = Annotated[str, pool]
Rate = Annotated[Any, rate]
Level = Annotated[str, level]
