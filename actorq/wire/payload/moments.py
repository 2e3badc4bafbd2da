"""Dates and times with their zone as text, exactly as they were.

The form is that of RFC 9557: ISO 8601, and the IANA zone in brackets, as in
``2024-10-27T02:30:00+01:00[Europe/Berlin]``. Python's `fold` is an experimental suffix, ``[_fold=1]``, where it is set.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta, timezone
from typing import TypeVar

from actorq.wire.payload.refusal import Refused

Moment = TypeVar("Moment", datetime, time)

FOLD = "_fold=1]"


def moment_to_text(value: datetime | time) -> str:
    """`value` as text. Raises Refused for a zone that has no name and is no `datetime.timezone`."""
    check_precision(value)
    # The method of the base, because subclasses change it (pandas adds digits that the standard library cannot read).
    text = datetime.isoformat(value) if isinstance(value, datetime) else time.isoformat(value)
    zone = value.tzinfo
    if type(zone) is timezone:
        if zone.utcoffset(None).microseconds:  # Python writes these, and does not always read them.
            raise Refused(zone, "Use an offset of whole seconds", part=".tzinfo")
    elif zone is not None:
        text = f"{text}[{zone_name(value)}]"
    return f"{text}[{FOLD}" if value.fold else text


def timedelta_to_parts(value: timedelta) -> tuple[int, int, int]:
    """Days, seconds and microseconds: all that a timedelta has. Raises Refused for what has more."""
    check_precision(value)
    return value.days, value.seconds, value.microseconds


def check_precision(value: datetime | time | timedelta) -> None:
    """Raises Refused for pandas' NaT and for its nanoseconds, which would be lost without a word."""
    nanoseconds = getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0)
    if value != value or nanoseconds:
        raise Refused(value, "Pass its isoformat(): datetime has neither NaT nor nanoseconds")


def zone_name(value: datetime | time) -> str:
    """The IANA name of the zone of `value`: `key` in zoneinfo and pendulum, `zone` in pytz."""
    name = getattr(value.tzinfo, "key", None) or getattr(value.tzinfo, "zone", None)
    if not isinstance(name, str):
        raise Refused(value.tzinfo, "Use zoneinfo.ZoneInfo or datetime.timezone", part=".tzinfo")
    return str(name)


def moment_from_text(text: str, kind: type[Moment]) -> Moment:
    """What `moment_to_text` was given. Raises ValueError, or an error of zoneinfo where the zone is not known here."""
    iso, *suffixes = text.split("[")
    value = kind.fromisoformat(iso)
    for suffix in suffixes:
        if suffix == FOLD:
            value = value.replace(fold=1)
        elif suffix.endswith("]"):
            from zoneinfo import ZoneInfo  # Slow to import, and seldom needed.

            value = value.replace(tzinfo=ZoneInfo(suffix[:-1]))
        else:
            raise ValueError(f"not a time zone: {suffix[:40]!r}")
    return value
