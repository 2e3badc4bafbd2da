"""Times as users give them: what the application's time zone and ISO text make of them."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from actorq.errors import ImproperlyConfigured


def as_moment(what: str, value: Any, zone: tzinfo | None) -> Any:
    """A datetime, or its ISO text, as a datetime that has a zone: `zone` if it says none (None: local time).

    Numbers stay as they are. Raises ImproperlyConfigured for text that is no time.
    """
    if isinstance(value, str):
        value = _from_iso(what, value)
    if isinstance(value, datetime) and value.tzinfo is None and zone is not None:
        return value.replace(tzinfo=zone)
    return value


def _from_iso(what: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)
    except ValueError:
        raise ImproperlyConfigured(
            f"{what} is a datetime, a number, or ISO text such as 2030-01-31T12:00:00+01:00, and not {text!r}"
        ) from None
