"""YAML's own types, for payloads that people read and write: safe to open, and slow.

What comes back as itself: None, bool, int, float, str, bytes, list, dict, set, date and datetime (with an offset, or
none). Tuples come back as lists. What YAML does not have is refused.
"""

from __future__ import annotations

from typing import Any

from actorq.wire.payload.extras import library


def check() -> None:
    """Raises ImproperlyConfigured if there is no library for it."""
    _yaml()


def dumps(value: object) -> bytes:
    """`value` as YAML in UTF-8. Raises any Exception if it cannot be written."""
    yaml = _yaml()
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    data: bytes = yaml.dump(value, Dumper=dumper, allow_unicode=True, encoding="utf-8")
    return data


def loads(data: bytes | memoryview) -> Any:
    """The value that `dumps` was given. Makes plain values only, and raises any Exception for other data."""
    yaml = _yaml()
    return yaml.load(bytes(data), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _yaml() -> Any:
    return library("yaml", "yaml")
